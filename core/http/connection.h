/*
 * What the files of the HTTP server share: the server, its connections and their requests. Private to
 * core/http. Everything on the loop thread.
 *
 * libmicrohttpd owns sockets and parsing; it calls access.c, which moves a request through its phases. A
 * connection without anything to do for it is suspended there, and resumed by `tide_http_wake` when the user
 * has read, responded or gone. Nothing but access.c and response.c's reader talks to a connection while
 * libmicrohttpd runs; everybody else leaves a mark and wakes it.
 */
#ifndef TIDE_HTTP_CONNECTION_H
#define TIDE_HTTP_CONNECTION_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/id.h"
#include "http/server.h"

#define REQUEST_TEXT_BYTES 512  /* bytes of target and path kept in the request itself */
#define REQUEST_BODY_BYTES 1024 /* bytes of a response's body kept in the request itself */
#define DISCARD_MAX                                                                                          \
    (256 * 1024) /* bytes of an unwanted body read so that its connection can be used again                  \
                  */

/* Beside a head as it came: its parsed form, and the response's head. */
#define POOL_EXTRA (4 * 1024 + TIDE_HTTP_MAX_ANSWER_HEAD)

struct tide_http_addresses;
struct tide_multipart;

enum tide_http_rejection {
    REJECT_FRAMING,
    REJECT_HEAD_SIZE,
    REJECT_HEAD_TIMEOUT,
    REJECT_BODY_RATE,
    REJECT_RESPONSE_RATE,
    REJECT_CONNECTIONS,
    REJECT_ADDRESS,
    REJECT_COUNT
};

/* Doubly linked, circular, with the list itself as a node. */
struct tide_link {
    struct tide_link *prev, *next;
};

static inline void tide_link_init(struct tide_link *link)
{
    link->prev = link->next = link;
}

static inline bool tide_link_empty(const struct tide_link *link)
{
    return link->next == link;
}

static inline void tide_link_remove(struct tide_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    tide_link_init(link);
}

static inline void tide_link_append(struct tide_link *list, struct tide_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

static inline void *tide_container(void *link, size_t offset)
{
    return (char *)link - offset;
}

#define CONTAINER(link, type, member) ((type *)tide_container(link, offsetof(type, member)))

struct tide_http_server {
    struct tide_http_server_config config;
    char name[64];
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    uv_poll_t epoll_poll; /* libmicrohttpd's epoll descriptor */
    uv_poll_t listen_poll;
    uv_prepare_t prepare;   /* runs libmicrohttpd before the loop blocks, when something was resumed */
    uv_idle_t idle;         /* active while libmicrohttpd has more to do at once */
    uv_timer_t sweep;       /* deadlines of all connections */
    uv_timer_t watch_timer; /* starts to watch for disconnects of requests that take longer */
    struct tide_link connections;
    struct tide_link accepted;       /* libmicrohttpd has not yet begun with them */
    struct tide_link unwatched;      /* suspended, not yet watched; oldest first */
    struct tide_link work;           /* requests with a callback due or a read to hand over */
    struct tide_link files;          /* requests whose file libmicrohttpd has not yet begun to send */
    struct tide_http_request *spare; /* finished ones, to be used again */
    unsigned spares;
    struct tide_http_addresses *addresses;
    struct tide_link lingering; /* closed connections whose clients may still be sending */
    unsigned lingering_count;
    size_t connection_count, active;
    unsigned handles; /* uv handles not yet closed, connections' included */
    bool running;     /* inside MHD_run */
    bool need_run;
    bool accept_paused; /* out of descriptors */
    bool pause_told;    /* in the log, since a connection was last accepted */
    bool draining, quiescing, closing;
    uint64_t id_base; /* random; with id_count it makes request ids */
    uint32_t id_count;
    void (*closed)(void *arg);
    void *closed_arg;
    struct tide_metric *connections_metric;
    struct tide_metric *rejected[REJECT_COUNT];
};

enum connection_phase {
    CONNECTION_FRESH,  /* accepted, no request line yet */
    CONNECTION_IDLE,   /* between two requests */
    CONNECTION_HEAD,   /* within a head */
    CONNECTION_REQUEST /* from a complete head to the response's end */
};

struct tide_http_connection {
    struct tide_http_server *server;
    struct MHD_Connection *mhd;
    struct tide_http_request *request;
    struct tide_link in_connections;
    struct tide_link in_unwatched;
    int fd;
    enum connection_phase phase;
    uint64_t since_ms; /* when the phase began */
    uint64_t received; /* bytes from the peer, as the kernel counts them, when last looked at */
    uint64_t suspended_ms;
    uv_poll_t watch; /* for the peer's going away while suspended */
    bool watch_open; /* the handle is initialised */
    bool watching;
    bool suspended;
    bool linger; /* closed by us while the peer may still be sending */
    bool killed;
    struct sockaddr_storage peer;
    char address[INET6_ADDRSTRLEN];
};

enum request_phase {
    REQUEST_HEAD, /* its body is not yet wanted: "100 Continue" not sent */
    REQUEST_BODY,
    REQUEST_FINAL, /* nothing more comes from the client */
    REQUEST_SENDING
};

enum body_mode { BODY_NONE, BODY_COLLECT, BODY_SOURCE, BODY_MULTIPART };

/* What the user holds to read the body or a part. It may outlive the request (a script's garbage), and a
 * later part. */
struct tide_http_body_source {
    struct tide_source source;
    struct tide_http_request *request; /* NULL: over */
    bool ended;                        /* over because everything was read */
};

struct tide_http_body {
    enum body_mode mode;
    bool ended;  /* all of it was taken */
    bool failed; /* `err` tells why; nothing more is handed out */
    struct tide_err err;
    int64_t limit;
    /* collect */
    struct tide_buf collected;
    tide_http_body_cb *collect_cb;
    void *collect_arg;
    /* the read in flight, of the raw body or of a part */
    char *read_buf;
    size_t read_cap, read_len;
    tide_read_cb *read_cb;
    void *read_arg;
    struct tide_http_body_source *source; /* the one handed out last, while it reads from here */
    /* multipart */
    struct tide_multipart *parser;
    tide_http_part_cb *part_cb;
    void *part_arg;
    bool part_open;  /* a part's bytes are to come */
    bool parts_done; /* behind the closing boundary */
};

/* A response's source, read ahead while the previous bytes are sent. */
struct tide_http_reader {
    struct tide_source *source;
    char *buf[2];        /* unless the source lends */
    const char *data[2]; /* what was read or lent */
    size_t len[2], at;   /* at: bytes of data[current] handed to libmicrohttpd */
    int current;
    bool reading, ended, failed;
};

struct tide_http_request {
    struct tide_http_server *server;
    struct tide_http_connection *connection;
    struct tide_http_handler handler; /* the server's when it started */
    struct tide_http_request *next_spare;
    struct tide_link in_work, in_files;
    void *user;
    enum request_phase phase;
    bool started; /* on_request has run */
    bool gone;    /* on_gone has run */
    bool responded;
    bool in_handler; /* libmicrohttpd's callback for it is on the stack */
    bool discarding; /* what is left of the body is thrown away */
    bool aborted;    /* answered past libmicrohttpd, which is to close */
    bool head_done, expect_continue, is_head;
    const char *method;
    char *target; /* in text or long_text */
    char *path;
    const char *query;
    char *long_text;
    char id[TIDE_ID_LEN + 1];
    char client[INET6_ADDRSTRLEN]; /* "": the connection's peer */
    uint64_t start_ns;
    int64_t content_length, bytes_in, bytes_out;
    int64_t discarded;
    struct tide_http_body body;
    /* response */
    struct MHD_Response *response;
    int status;
    const char *response_body; /* for a response written without libmicrohttpd */
    size_t response_body_len;
    int64_t response_length; /* of a file or a known body */
    char *long_body;
    struct tide_http_reader reader;
    /* minimum rate */
    uint64_t window_ms; /* 0: no window open */
    uint64_t window_bytes;
    /* not cleared for a new request */
    char text[REQUEST_TEXT_BYTES];
    char short_body[REQUEST_BODY_BYTES];
};

/* server.c */
void tide_http_run(struct tide_http_server *server);
/* A uv handle of the server is closed; with the last one the server is gone. */
void tide_http_handle_closed(struct tide_http_server *server);
void tide_http_reject_count(struct tide_http_server *server, enum tide_http_rejection reason);

/* accept.c */
void tide_http_accept_start(struct tide_http_server *server);
void tide_http_accept_stop(struct tide_http_server *server);
void tide_http_accept_waiting(struct tide_http_server *server); /* then stops */
/* Forgets the accepted ones, whose sockets libmicrohttpd has closed. */
void tide_http_accept_drop(struct tide_http_server *server);
struct tide_http_addresses *tide_http_addresses_new(void);
void tide_http_addresses_free(struct tide_http_addresses *addresses);

/* connection.c */
void tide_http_connection_notify(void *cls, struct MHD_Connection *mhd, void **context,
                                 enum MHD_ConnectionNotificationCode code);
void tide_http_suspend(struct tide_http_connection *connection);
/* Resumes the connection if it is suspended. */
void tide_http_wake(struct tide_http_connection *connection);
/* Ends it: the user hears on_gone and fails with `code`, the socket is shut down. */
void tide_http_kill(struct tide_http_connection *connection, const char *code, const char *why);
/* Writes a whole response past libmicrohttpd (which cannot in mid-upload) and ends the connection. */
void tide_http_abort_with(struct tide_http_connection *connection, int status, const char *headers,
                          const void *body, size_t body_len);
void tide_http_watch_due(uv_timer_t *timer);

/* linger.c: keeps a closed connection's socket until the peer has read our answer */
void tide_http_linger(struct tide_http_server *server, int fd);
/* Ends those that are at it for too long; all of them with UINT64_MAX. */
void tide_http_linger_sweep(struct tide_http_server *server, uint64_t now_ms);

/* deadline.c */
void tide_http_sweep(uv_timer_t *timer);

/* access.c */
void *tide_http_request_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result tide_http_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **context);
void tide_http_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code);
/* The user did something: go on if that makes it possible. */
void tide_http_advance(struct tide_http_request *request);

/* request.c */
struct tide_http_request *tide_http_request_new(struct tide_http_connection *connection, const char *target);
void tide_http_request_free(struct tide_http_request *request);
/* Finds out who the client is, by the handler's proxies. */
void tide_http_request_name_client(struct tide_http_request *request);
/* Tells the user once that nobody waits any more, and fails what is in flight. */
void tide_http_request_lose(struct tide_http_request *request, const char *code, const char *why);

/* body.c */
void tide_http_body_init(struct tide_http_request *request);
void tide_http_body_release(struct tide_http_request *request);
/* Does somebody wait for bytes? */
bool tide_http_body_wanted(const struct tide_http_request *request);
/* Hands bytes over; returns how many were taken. */
size_t tide_http_body_take(struct tide_http_request *request, const char *data, size_t len);
void tide_http_body_end(struct tide_http_request *request);
/* Fails what waits and what will ask. */
void tide_http_body_fail(struct tide_http_request *request, const struct tide_err *err);
/* Runs the callbacks whose result was there when they were asked for. */
void tide_http_body_due(struct tide_http_request *request);
/* The same, and hands over a read that is partly filled. */
void tide_http_body_work(struct tide_http_request *request);
void tide_http_work_later(struct tide_http_request *request);
/* A source of `length` bytes for the user, in the place of the last one. NULL when memory is out. */
struct tide_source *tide_http_body_source_new(struct tide_http_request *request, int64_t length);
/* What the user still holds reads nothing more. */
void tide_http_body_source_end(struct tide_http_request *request, bool ended);
/* The error of asking for a body that was asked for in another way. */
void tide_http_body_taken(struct tide_err *err);
/* Ends the read in flight, if any. */
void tide_http_read_done(struct tide_http_request *request, ssize_t n, const struct tide_err *err);

/* part.c */
size_t tide_http_parts_take(struct tide_http_request *request, const char *data, size_t len);
void tide_http_parts_end(struct tide_http_request *request);
void tide_http_parts_fail(struct tide_http_request *request);
/* Answers a waiting tide_http_multipart_next whose result is known. */
void tide_http_parts_due(struct tide_http_request *request);
void tide_http_parts_release(struct tide_http_request *request);

/* response.c */
void tide_http_response_release(struct tide_http_request *request);
enum MHD_Result tide_http_response_queue(struct tide_http_request *request);
/* Answers a malformed request and closes. Inside the first call of the handler. */
enum MHD_Result tide_http_refuse(struct tide_http_request *request, int status, const char *reason);
/* Writes the response past libmicrohttpd, or just closes when it is a stream. */
void tide_http_response_abort(struct tide_http_request *request);
/* Sets bytes_out when the request is over. */
void tide_http_response_count(struct tide_http_request *request);
bool tide_http_response_is_stream(const struct tide_http_request *request);
/* After libmicrohttpd has run: sets up the sockets on which it has begun to send a file. */
void tide_http_files_begun(struct tide_http_server *server);

/* reader.c: a response's source */
struct MHD_Response *tide_http_reader_create(struct tide_http_request *request, struct tide_source *source);
void tide_http_reader_release(struct tide_http_request *request);

#endif
