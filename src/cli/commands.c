/* The commands of `goniec`: a row for each, in the order in which the list shows them. */
#include "cli/account.h"
#include "cli/common.h"
#include "cli/load.h"
#include "cli/queue.h"
#include "cli/sendmail.h"
#include "cli/server.h"
#include "cli/settings.h"
#include "cli/sink.h"
#include "cli/spool.h"
#include "cli/trace.h"
#include "cli/who.h"

const struct command commands[] = {
    { "serve", "[--config FILE]", "run the server",
      "Reads the settings, opens the ports and starts a process for each duty. Runs in the foreground until SIGTERM\n"
      "or SIGINT, then finishes what is in hand. SIGHUP does what `goniec reload` does.\n",
      serve_main, false },
    { "check", "[--config FILE]", "look for mistakes in the settings",
      "Reads the settings and the certificates they name, and tries the ports, without starting anything.\n"
      "Each mistake is told as FILE:LINE:COLUMN. Exit status 1 when there are any.\n",
      check_main, false },
    { "settings", "[--config FILE] [--json | --man]", "show every setting: its value, default and meaning",
      "What is printed is a settings file itself. With --man: the list of directives for the manual.\n"
      "Passwords are left out.\n",
      settings_main, false },
    { "reload", "[--config FILE]", "make a running server take the new settings",
      "No connection is refused or dropped. When the new settings have mistakes, the server keeps the old ones.\n",
      reload_main, false },
    { "stop", "[--config FILE]", "stop a running server and wait until it has",
      "Sessions and deliveries in hand are finished (setting `drain`).\n",
      stop_main, false },
    { "account", "VERB ...", "who may log in, and as whom they may send",
      NULL, account_main, false },
    { "customer", "VERB ...", "customers: whose domains and accounts are whose, and what holds for them",
      NULL, account_main, false },
    { "domain", "VERB ...", "domains of customers",
      NULL, account_main, false },
    { "sender", "show LOGIN", "all about one sender: state, credentials, limits, what waits",
      NULL, account_main, false },
    { "directory", "VERB ...", "all customers, domains and accounts together",
      NULL, account_main, false },
    { "limits", "VERB ...", "what is counted of a sender; what other limits would have stopped",
      NULL, account_main, false },
    { "audit", "[NAME] [--last N] [--since WHEN] [--json]", "who changed which account, domain or customer",
      NULL, account_main, false },
    { "status", "[--json] [--config FILE]", "what waits, where to, and how it goes",
      "Asks the running server: how much is queued and in which state, which sites have the most to do or cannot be\n"
      "reached, and how much room the disk has.\n",
      status_main, false },
    { "top", "[--once] [--json] [--config FILE]", "watch senders, destinations and rates",
      "Asks the running server each second and shows what is queued and how fast it goes, of whom most waits, and where to.\n"
      "With --once (and always with --json) only once, after a second over which the rates are counted.\n",
      top_main, false },
    { "queue", "VERB ...", "list, show, hold, release, retry, reroute or delete what waits",
      NULL, queue_command_main, false },
    { "spool", "verify [--config FILE] [--json] [DIR]", "read the spool through and look for damage",
      "Reads every record of the spool directory (of the settings, or DIR, which may be a copy) and checks it;\n"
      "changes nothing, and may run beside the server. Exit status 1 when there is any fault.\n",
      spool_main, false },
    { "trace", "ID-or-address [--last=N] [--json] [--config FILE]", "tell the story of a message in plain words",
      "Takes the id of a message, or an address (login, sender or recipient) and tells of its latest 10 messages.\n"
      "Reads the event log with its rotated files, and asks the running queue what is still waiting.\n",
      trace_main, false },
    { "who", "ID [--json] [--config FILE]", "which user, website and script of this machine sent a message",
      "Tells who handed the message in: the account, user, uid and process by the kernel's word, and the command line,\n"
      "folder, script and site as the program said. For mail that came over the network: login and address.\n",
      who_main, false },
    { "sendmail", "[OPTIONS] [RECIPIENT ...]", "hand in a message from the standard input, as /usr/sbin/sendmail does",
      NULL, sendmail_main, false },
    { "sink", "[--listen ADDRESS:PORT] ...", "a receiving server for tests: count, keep, refuse or delay mail",
      NULL,
      sink_main, false },
    { "load", "--to HOST:PORT ...", "send many messages to a server and measure how it takes them",
      NULL,
      load_main, false },
    { "role", "NAME", "be one of the server's processes (started by serve)", "", role_main, true },
    { 0 }
};
