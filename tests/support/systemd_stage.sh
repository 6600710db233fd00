#!/bin/bash
# Becomes systemd as the first process of a machine of its own: the files are this one's, behind an overlay in memory; what
# is changed there is gone with it. Run by unshare(1) with namespaces of all kinds. $1: an empty folder.
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
root=$1/root
mkdir "$1/changed" "$1/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
for place in run tmp dev var/lib var/log var/spool; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
echo 6c1f0c0de5d94a0ea2d9f0a3f2f0aa11 > "$root/etc/machine-id"
cd "$root"
mkdir -p oldroot
pivot_root . oldroot
cd /
umount -l /oldroot
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=no
