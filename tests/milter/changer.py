"""A milter by libmilter (pymilter) that does everything a milter can: changer.py SOCKET.

What the subject names is done: change, or refuse-rcpt, refuse-end, discard, slow.
"""
import sys
import time

import Milter


class Changer(Milter.Base):
    def __init__(self):
        self.subject, self.told = "", []

    def connect(self, name, family, address):
        self.told += [f"{name} {address[0]} {address[1]} {self.getsymval('j')}"]
        return Milter.CONTINUE

    def envfrom(self, sender, *params):
        self.told += [f"{sender} {' '.join(params)} {self.getsymval('i')} {self.getsymval('{auth_authen}')}"]
        return Milter.CONTINUE

    def envrcpt(self, recipient, *params):
        if recipient.startswith("<nobody@"):
            self.setreply("550", "5.1.1", "100%% nobody", "of that name")
            return Milter.REJECT
        self.told += [f"{recipient} {self.getsymval('{rcpt_addr}')}"]
        return Milter.CONTINUE

    def header(self, name, value):
        if name == "Subject":
            self.subject = value
        return Milter.CONTINUE

    def body(self, octets):
        self.told += [f"{len(octets)}"]
        return Milter.CONTINUE

    def eom(self):
        if self.subject == "refuse-end":
            self.setreply("451", "4.7.1", "come back later")
            return Milter.TEMPFAIL
        if self.subject == "discard":
            return Milter.DISCARD
        if self.subject == "slow":
            for _ in range(3):
                self.progress()
                time.sleep(0.05)
        if self.subject == "change":
            self.change()
        return Milter.CONTINUE

    def change(self):
        for line in self.told:
            self.addheader("X-Told", line)
        self.addheader("X-First", "a\n\tb", 0)
        self.chgheader("Received", 2, "")
        self.chgheader("Subject", 1, "changed")
        self.chgfrom("<bounces@example.org>", "RET=HDRS")
        self.addrcpt("<copy@example.org>")
        self.delrcpt("<b@example.net>")
        self.replacebody(b"new " * 20000 + b"\r\n")
        self.quarantine("looks odd")


Milter.factory = Changer
Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.ADDRCPT | Milter.DELRCPT | Milter.QUARANTINE
                 | Milter.CHGFROM)
Milter.runmilter("changer", sys.argv[1], 30)
