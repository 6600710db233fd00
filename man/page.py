#!/usr/bin/env python3
"""Prints a manual page: its template with the words in @...@ filled in. Usage: page.py TEMPLATE GONIEC VERSION SYSCONFDIR"""
import os
import pathlib
import subprocess
import sys
import time

template, goniec, version, sysconfdir = sys.argv[1:]
moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", pathlib.Path(template).stat().st_mtime)))
words = {"@VERSION@": version, "@SYSCONFDIR@": sysconfdir, "@DATE@": time.strftime("%Y-%m-%d", moment)}
page = pathlib.Path(template).read_text()
if "@DIRECTIVES@" in page:
    words["@DIRECTIVES@"] = subprocess.run([goniec, "settings", "--man"], check=True, capture_output=True,
                                           text=True).stdout.rstrip("\n")
for word, text in words.items():
    page = page.replace(word, text)
sys.stdout.write(page)
