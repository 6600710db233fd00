"""Both ends of the mail that a counted server gets and sends on, played step by step in one thread: the same octets in the
same pieces every time, each only when the server has nothing left to do, so that what it does for them can be counted."""
import selectors
import socket
import ssl

PATIENCE_S = 120
LINE = b"All work and no play makes a dull boy; all play and no work makes him a mere toy.\r\n"


def message_of(octets):
    """A message of about so many octets, ready for DATA, with its end."""
    head = b"From: bench@bench.example\r\nTo: user@bench.example\r\nSubject: counted\r\n\r\n"
    return head + LINE * ((octets - len(head)) // len(LINE)) + b".\r\n"


class Client:
    """One connection to the server."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""
        self.expect(220)

    def line(self):
        while b"\n" not in self.left:
            octets = self.socket.recv(65536)
            if not octets:
                raise ConnectionError("the server closed the connection")
            self.left += octets
        line, self.left = self.left.split(b"\n", 1)
        return line

    def expect(self, *codes):
        """A whole answer for each code."""
        for code in codes:
            line = self.line()
            while line[3:4] == b"-":
                line = self.line()
            if int(line[:3]) != code:
                raise ConnectionError(f"expected {code}: {line.decode(errors='replace')}")

    def send(self, octets):
        self.socket.sendall(octets)

    def begin_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def close(self):
        self.socket.close()


class Peer:
    """The server that everything is sent on to. It acts only inside serve(), and answers what came together by one send."""

    def __init__(self, chunking):
        self.offers = b"250-peer.bench.example\r\n250-PIPELINING\r\n" + (b"250-CHUNKING\r\n" if chunking else b"") + b"250 8BITMIME\r\n"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.taken = 0

    def serve(self):
        """Answers everything that has come. False: there was nothing."""
        ready = self.selector.select(0)
        for key, _ in ready:
            if key.fileobj is self.listener:
                self.meet()
            else:
                self.hear(key.fileobj, key.data)
        return bool(ready)

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def meet(self):
        connection, _ = self.listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"220 peer.bench.example\r\n")
        self.selector.register(connection, selectors.EVENT_READ, {"in": b"", "data": False, "chunk": 0})

    def hear(self, connection, state):
        octets = connection.recv(1 << 20)
        if not octets:
            self.selector.unregister(connection)
            connection.close()
            return
        state["in"] += octets
        answers = []
        while self.step(state, answers):
            pass
        if answers:
            connection.sendall(b"".join(answers))

    def step(self, state, answers):
        """One command, chunk or message off the front; False when it is not whole."""
        if state["chunk"]:
            return self.take(state, answers, state["chunk"] if len(state["in"]) >= state["chunk"] else None)
        end = state["in"].find(b"\r\n.\r\n" if state["data"] else b"\r\n")
        if end < 0:
            return False
        if state["data"]:
            return self.take(state, answers, end + 5)
        words, state["in"] = state["in"][:end].upper().split(), state["in"][end + 2:]
        if words[0] == b"BDAT":
            state["chunk"] = int(words[1])
        elif words[0] == b"DATA":
            state["data"] = True
            answers.append(b"354 go on\r\n")
        else:
            answers.append({b"EHLO": self.offers, b"QUIT": b"221 2.0.0 bye\r\n"}.get(words[0], b"250 2.1.0 ok\r\n"))
        return True

    def take(self, state, answers, octets):
        """The end of a message; whoever sends here makes every chunk the last one."""
        if octets is None:
            return False
        state.update({"in": state["in"][octets:], "data": False, "chunk": 0})
        self.taken += 1
        answers.append(b"250 2.0.0 taken\r\n")
        return True
