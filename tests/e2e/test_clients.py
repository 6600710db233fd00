"""More clients that people really use: msmtp, nodemailer, git send-email, Postfix's smtp-source."""
import os
import pathlib
import shutil
import subprocess

import pytest

from house import find_program

LETTER = b"From: anna@example.org\nTo: bob@example.net\nSubject: from a client\n\nHello\n"


def test_msmtp(house, sink, tmp_path):
    config = tmp_path / "msmtprc"
    config.write_text("defaults\nauth on\ntls on\ntls_certcheck off\n"
                      f"account default\nhost 127.0.0.1\nport {house.ports['submission']}\n"
                      "user anna@example.org\npassword secret\nfrom anna@example.org\n")
    config.chmod(0o600)
    subprocess.run(["msmtp", "-C", str(config), "bob@example.net"], input=LETTER, check=True, timeout=60)
    (raw,) = sink.wait_messages(1)
    assert b"Subject: from a client" in raw


NODE_MODULES = pathlib.Path("/usr/share/nodejs")  # where Debian's packages put them


@pytest.mark.skipif(not shutil.which("node") or not (NODE_MODULES / "nodemailer").exists(), reason="nodemailer is not installed")
@pytest.mark.parametrize("secure", ["false", "true"])
def test_nodemailer(house, sink, tmp_path, secure):
    port = house.ports["submissions" if secure == "true" else "submission"]
    program = tmp_path / "send.js"
    program.write_text(f"""
const mailer = require('nodemailer');
const transport = mailer.createTransport({{host: '127.0.0.1', port: {port}, secure: {secure}, requireTLS: true,
  pool: true, tls: {{rejectUnauthorized: false}}, auth: {{user: 'anna@example.org', pass: 'secret'}}}});
(async () => {{
  for (let i = 0; i < 3; i++)
    await transport.sendMail({{from: 'anna@example.org', to: 'bob@example.net', subject: 'za\u017c\u00f3\u0142\u0107 ' + i,
      text: 'text', html: '<p>html</p>', attachments: [{{filename: 'a.bin', content: Buffer.alloc(200000, i)}}]}});
  transport.close();
}})().catch(fault => {{ console.error(fault); process.exit(1); }});
""")
    subprocess.run(["node", str(program)], check=True, timeout=60, env=dict(os.environ, NODE_PATH=str(NODE_MODULES)))
    sink.wait_messages(3)


@pytest.mark.skipif(not pathlib.Path("/usr/lib/git-core/git-send-email").exists(), reason="git-email is not installed")
def test_git_send_email(house, sink, tmp_path):
    env = dict(os.environ, GIT_SSL_NO_VERIFY="1", HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1",
               GIT_AUTHOR_NAME="Anna", GIT_AUTHOR_EMAIL="anna@example.org", GIT_COMMITTER_NAME="Anna",
               GIT_COMMITTER_EMAIL="anna@example.org")
    patch = tmp_path / "0001.patch"
    patch.write_text("From: Anna <anna@example.org>\nSubject: [PATCH] one\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n\n---\ndiff\n")
    subprocess.run(["git", "send-email", "--smtp-server", "127.0.0.1", "--smtp-server-port", str(house.ports["submission"]),
                    "--smtp-encryption", "tls", "--smtp-ssl-cert-path", "", "--smtp-user", "anna@example.org",
                    "--smtp-pass", "secret", "--from", "anna@example.org", "--to", "bob@example.net", "--confirm", "never",
                    "--suppress-cc", "all", str(patch)], check=True, env=env, timeout=60, cwd=tmp_path)
    (raw,) = sink.wait_messages(1)
    assert b"[PATCH] one" in raw


@pytest.mark.skipif(not find_program("smtp-source"), reason="Postfix's smtp-source is not installed")
def test_smtp_source(house, sink):
    subprocess.run([find_program("smtp-source"), "-s", "10", "-m", "200", "-l", "5000", "-f", "x@example.org",
                    "-t", "y@example.net", f"127.0.0.1:{house.ports['relay']}"], check=True, timeout=120)
    assert len(sink.wait_messages(200)) == 200
    house.wait_empty()
