"""A local authoritative DNS server (nsd) for zones that a test writes."""
import pathlib

from house import Process, find_program, free_port, wait_for
import socket
import struct


def _answers(port):
    """Does the server answer a question for the SOA of the root of our zones?"""
    question = struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + b"\x07example\x04test\x00" + struct.pack(">HH", 6, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.sendto(question, ("127.0.0.1", port))
            return len(client.recv(512)) > 12
        except OSError:
            return False


class Nsd(Process):
    """Serves `zones`: {"example.test": "records in zone file form"}; every zone gets its SOA and NS."""

    def __init__(self, folder, zones):
        self.port = free_port()
        folder = pathlib.Path(folder) / "nsd"
        folder.mkdir(parents=True)
        names = []
        for number, (zone, records) in enumerate({"example.test": "", **zones}.items()):
            path = folder / f"zone{number}"
            path.write_text(f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns.example.test. root.example.test. 1 3600 600 86400 5\n"
                            f"@ NS ns.example.test.\n{records}\n")
            names.append(f'zone:\n  name: "{zone}"\n  zonefile: "{path}"\n')
        config = folder / "nsd.conf"
        config.write_text(
            f'server:\n  ip-address: 127.0.0.1@{self.port}\n  port: {self.port}\n  username: ""\n  zonesdir: "{folder}"\n'
            f'  pidfile: "{folder}/pid"\n  database: ""\n  xfrdfile: "{folder}/xfrd"\n  xfrdir: "{folder}"\n'
            f'  zonelistfile: "{folder}/list"\n  server-count: 1\nremote-control:\n  control-enable: no\n' + "".join(names))
        super().__init__("nsd", [find_program("nsd"), "-d", "-c", str(config)], folder)
        wait_for("nsd", lambda: _answers(self.port) or not self.alive())
        assert self.alive(), self.text()
