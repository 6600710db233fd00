/* supervisor/notify.h -- tells systemd how we are, by its own protocol (sd_notify(3)): one datagram to NOTIFY_SOCKET. */
#pragma once

/* "READY=1", "STOPPING=1", ... Nothing happens when nobody asked to be told. */
void notify(const char *state);
/* RELOADING=1 with the time that systemd wants beside it. */
void notify_reloading(void);
/* Children must not speak for us. Call once, before they are started. */
void notify_init(void);
