"""Remote servers that misbehave exactly as told, one step at a time."""
import time

from house import Script

STEPS = ("greeting", "ehlo", "mail", "rcpt", "data", "dot", "quit")

GOOD = {
    "greeting": "220 remote.example.net ESMTP",
    "ehlo": "250-remote.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 10000000",
    "helo": "250 remote.example.net",
    "mail": "250 2.1.0 sender ok",
    "rcpt": "250 2.1.5 recipient ok",
    "data": "354 go ahead",
    "dot": "250 2.0.0 accepted",
    "rset": "250 2.0.0 reset",
    "quit": "221 2.0.0 bye",
}

DROP, STALL, GARBAGE = "<drop>", "<stall>", "<garbage>"


class Drop(ConnectionError):
    """The server closes without a word."""


class Remote(Script):
    """An SMTP server with scripted answers.

    `answers(number)` gives the dictionary of answers for connection `number`; what it leaves out is as in GOOD. An
    answer may be text, a function of the command line, or one of DROP, STALL, GARBAGE. `received` holds the messages
    that were answered by 2xx at the dot: (sender, recipients, octets).
    """

    def __init__(self, answers=lambda number: {}):
        self.answers = answers
        self.received = []
        super().__init__(self.session)

    def say(self, talk, answers, step, line=b""):
        answer = answers.get(step, GOOD.get(step, "250 ok"))
        if callable(answer):
            answer = answer(line) or GOOD.get(step, "250 ok")
        if answer == DROP:
            raise Drop
        if answer == STALL:
            talk.read()  # until the client gives up
            raise Drop
        if answer == GARBAGE:
            talk.write(b"\x00\xff\xfe garbage \r\n\r\n\x01\r\n" * 3)
            return "garbage"
        talk.write(answer.encode() + b"\r\n")
        return answer

    def session(self, talk, number):
        answers = dict(self.answers(number))
        sender, recipients = None, []
        self.say(talk, answers, "greeting")
        while line := talk.readline():
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                self.say(talk, answers, verb.decode().lower(), line)
            elif verb == b"MAIL":
                sender, recipients = line, []
                self.say(talk, answers, "mail", line)
            elif verb == b"RCPT":
                if self.say(talk, answers, "rcpt", line).startswith("2"):
                    recipients.append(line[8:].strip().split(b">")[0].lstrip(b"<").decode())
            elif verb == b"DATA" and not recipients:
                talk.write(b"554 5.5.1 no valid recipients\r\n")
            elif verb == b"DATA":
                if not self.say(talk, answers, "data", line).startswith("3"):
                    continue
                octets = b""
                while (piece := talk.readline()) not in (b".\r\n", b""):
                    octets += piece
                    if answers.get("body") == DROP:
                        raise Drop
                if not piece:
                    return
                if self.say(talk, answers, "dot").startswith("2") and recipients:
                    self.received.append((sender, recipients, octets))
            elif verb == b"RSET":
                self.say(talk, answers, "rset")
            elif verb == b"QUIT":
                self.say(talk, answers, "quit")
                return
            else:
                talk.write(b"500 5.5.1 unknown\r\n")


def slow(seconds, text):
    """An answer after a while: for timeouts, which are what is tested."""
    def answer(_line):
        time.sleep(seconds)
        return text
    return answer
