/* net/stream_priv.h -- a stream's inside, for stream*.c. */
#pragma once
#include "net/stream.h"
#include "net/tls_priv.h"

#define STREAM_STALL (64u << 10)     /* waiting output at which the peer is not read from */
#define STREAM_RECORDS (64u << 10)   /* octets encrypted at once */
/* What one read may show: what was kept, what came, and a TLS record that was incomplete before. */
#define STREAM_SHARED (STREAM_INPUT_MAX + STREAM_READ_MAX + (32u << 10))

struct stream {
    struct loop_fd watch;
    struct loop_task task;
    struct loop_timer timer; /* runs only while closing */
    struct list link;        /* among those of this thread that are closing */
    const struct stream_events *events;
    void *arg;
    struct span input;  /* while the handler looks: what it has not consumed */
    struct buf kept;    /* otherwise: the same, as a copy */
    struct buf out;     /* for the kernel */
    struct buf clear;   /* under TLS: written, not encrypted yet */
    struct tls_session *tls;
    struct buf early;   /* TLS octets that wait: they came with a PROXY header, or while the handshake is held */
    int error;
    unsigned depth;     /* handlers of ours below us on the stack */
    enum status end;    /* why the end came; OK before that */
    bool showing, paused, show_again, told, wait_drained;
    bool held_back;     /* more came while the handshake is held */
    bool closing, lingering, dead;
};

/* Whoever calls a handler holds the stream: false from the second means that it was freed inside. */
static inline void stream_hold(struct stream *stream) { stream->depth++; }
MUST_CHECK bool stream_let_go(struct stream *stream);
static inline bool stream_is_live(const struct stream *stream) { return !stream->dead && !stream->closing; }

void stream_update_want(struct stream *stream);
/* Remembers the end; it is told from a task, never inside a call that the owner made. */
void stream_broke(struct stream *stream, enum status why, int error);
/* Tells the end now, once. False: the stream was freed. */
MUST_CHECK bool stream_tell_end(struct stream *stream);
/* Shows `kept.n` octets and those that follow in the shared buffer at `shared`. False: the stream was freed. */
MUST_CHECK bool stream_show(struct stream *stream, struct span input);
char *stream_shared(unsigned which); /* 0: what handlers see; 1: ciphertext. NULL: out of memory */
/* Puts what is kept at the beginning of the shared buffer; returns where it ends. NULL: out of memory. */
char *stream_shared_after_kept(struct stream *stream);

/* Moves what is clear into records. */
void stream_encrypt(struct stream *stream);
/* Encrypts what is clear, then hands the kernel what it takes. */
void stream_push(struct stream *stream, bool more);
/* Ciphertext came: handshake or decrypt, then show. False: the stream was freed. */
MUST_CHECK bool stream_take_cipher(struct stream *stream, struct span cipher);
void stream_tls_done(struct stream *stream);
