#!/bin/sh
# Sees to the Debian packages that a make target needs: as root it installs the missing ones and says so, as anybody
# else it prints the exact command and ends with 1.
#
#   packages.sh build|test|run|count|bench|fuzz|afl|lint
set -eu

build="gcc libc6-dev meson ninja-build pkg-config python3 libssl-dev libunbound-dev libsqlite3-dev libfyaml-dev
  libjansson-dev libsodium-dev libgsasl-dev libcrypt-dev libxxhash-dev libidn2-dev
  libseccomp-dev libhiredis-dev libpq-dev"
count="strace valgrind"
test="libcmocka-dev mandoc python3-pytest python3-pytest-timeout
  python3-pytest-xdist curl swaks gsasl libnet-ssleay-perl libmailtools-perl
  libauthen-sasl-perl libio-socket-ssl-perl msmtp nsd ca-certificates openssl git git-email nodejs
  node-nodemailer systemd iproute2 php-cli bsd-mailx s-nail opendkim opendkim-tools rspamd
  python3-milter redis-server postgresql $count"
servers="postfix dovecot-core dovecot-lmtpd"

case "${1:-build}" in
  build) wanted="$build" ;;
  run)   wanted="$build curl" ;;
  test)  wanted="$build $test $servers" ;;
  count) wanted="$build $count" ;;
  bench) wanted="$build postfix strace" ;;
  fuzz)  wanted="$build libcmocka-dev clang llvm" ;;
  afl)   wanted="$build libcmocka-dev clang afl++" ;;
  lint)  wanted="$build clang clang-tidy cppcheck git" ;;
  *)     echo "usage: $0 build|test|run|count|bench|fuzz|afl|lint" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "This is no Debian; these packages' counterparts are needed:" $wanted >&2
  exit 0
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c2)" = i ]; }

# Another mail server would be thrown out by Postfix; the tests then leave Postfix out.
other_server() {
  for other in exim4-daemon-light exim4-daemon-heavy sendmail-bin opensmtpd courier-mta nullmailer; do
    installed "$other" && return 0
  done
  return 1
}

missing=""
for package in $wanted; do
  case "$package" in
    postfix) if other_server; then echo "another mail server is installed: Postfix is left out" >&2; continue; fi ;;
  esac
  installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

command="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ]; then
  printf 'Debian packages are missing. As root:\n\n    %s\n\n' "$command" >&2
  exit 1
fi

echo "installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
# Servers come for the tests alone; they shall not start beside us, nor take port 25.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 0755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
case " $missing " in
  *" postfix "*) echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections || true ;;
esac
apt-get update -qq
$command </dev/null
