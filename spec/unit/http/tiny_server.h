/*
 * An HTTP server for the tests of the client: answers by path, also in ways that no good server would. It
 * runs on the loop of the test, or, forked, on one of its own.
 */
#ifndef TIDE_TINY_SERVER_H
#define TIDE_TINY_SERVER_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"

struct tiny_server {
    uv_tcp_t tcp;
    int port;
    int connections, requests, bytes_in;
    struct tiny_conn *conns;
    char last[65536]; /* the last request, cut */
};

struct tiny_conn {
    uv_tcp_t tcp;
    struct tiny_server *server;
    struct tiny_conn *next;
    struct tide_buf in;
    int served;
};

struct tiny_write {
    uv_write_t req;
    char *data;
    bool close;
};

static void tiny_conn_closed(uv_handle_t *handle)
{
    struct tiny_conn *conn = handle->data, **link;

    for (link = &conn->server->conns; *link != conn; link = &(*link)->next)
        ;
    *link = conn->next;
    tide_buf_release(&conn->in);
    free(conn);
}

static void tiny_close(struct tiny_conn *conn)
{
    if (!uv_is_closing((uv_handle_t *)&conn->tcp))
        uv_close((uv_handle_t *)&conn->tcp, tiny_conn_closed);
}

static void tiny_written(uv_write_t *req, int status)
{
    struct tiny_write *write = (struct tiny_write *)req;

    (void)status;
    if (write->close)
        tiny_close(req->handle->data);
    free(write->data);
    free(write);
}

/* Takes over the buffer. */
static void tiny_send(struct tiny_conn *conn, struct tide_buf *buf, bool close)
{
    struct tiny_write *write = calloc(1, sizeof *write);
    uv_buf_t out = uv_buf_init(buf->data, (unsigned)buf->len);

    write->data = buf->data;
    write->close = close;
    uv_write(&write->req, (uv_stream_t *)&conn->tcp, &out, 1, tiny_written);
}

static void tiny_fill(struct tide_buf *buf, size_t len)
{
    size_t i;
    char *to = tide_buf_reserve(buf, len);

    for (i = 0; i < len; i++)
        to[i] = (char)('a' + i % 26);
    buf->len += len;
}

static void tiny_odd_answer(struct tiny_conn *conn, const char *path, struct tide_buf *out)
{
    int n = atoi(strrchr(path, '/') + 1), i;

    if (strncmp(path, "/redirect/", 10) == 0) {
        tide_buf_printf(out, "HTTP/1.1 302 Found\r\nLocation: %s%.0d\r\nContent-Length: 4\r\n\r\ngone",
                        n > 1 ? "/redirect/" : "/hello", n > 1 ? n - 1 : 0);
    } else if (strncmp(path, "/to/", 4) == 0) {
        tide_buf_printf(out, "HTTP/1.1 303 See Other\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", path + 4);
    } else if (strncmp(path, "/headers/", 9) == 0) {
        tide_buf_puts(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (i = 0; i < n; i++)
            tide_buf_printf(out, "X-%d: y\r\n", i);
        tide_buf_puts(out, "\r\n");
    } else if (strncmp(path, "/unending/", 10) == 0) {
        tide_buf_puts(out, "HTTP/1.1 200 OK\r\n\r\n");
        tiny_fill(out, (size_t)n);
        tiny_send(conn, out, true);
        memset(out, 0, sizeof *out);
    } else {
        tide_buf_puts(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    }
}

static void tiny_answer(struct tiny_conn *conn, const char *path, size_t request_len, bool head)
{
    struct tide_buf out;
    bool close = false;

    tide_buf_init(&out, 64 << 20);
    if (strcmp(path, "/reset") == 0) {
        uv_tcp_close_reset(&conn->tcp, tiny_conn_closed);
        return;
    }
    if (strcmp(path, "/hello") == 0 || strcmp(path, "/doom") == 0) {
        tide_buf_puts(
            &out,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Two:  spaces  \r\nContent-Length: 5\r\n\r\n");
        tide_buf_puts(&out, head ? "" : "hello");
        close = strcmp(path, "/doom") == 0; /* without having said so */
    } else if (strcmp(path, "/echo") == 0) {
        tide_buf_printf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", request_len);
        tide_buf_append(&out, conn->in.data, request_len);
    } else if (strncmp(path, "/big/", 5) == 0) {
        tide_buf_printf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", path + 5);
        if (!head)
            tiny_fill(&out, (size_t)atoi(path + 5));
    } else if (strcmp(path, "/cut") == 0) {
        tide_buf_puts(&out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
        close = true;
    } else if (strcmp(path, "/stall") == 0) {
        tide_buf_puts(&out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
    } else if (strcmp(path, "/garbage") == 0) {
        tide_buf_puts(&out, "SSH-2.0-OpenSSH\r\n\r\n");
        close = true;
    } else if (strcmp(path, "/trailer") == 0) {
        tide_buf_puts(
            &out, "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                  "\r\n3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n");
    } else if (strcmp(path, "/none") == 0) {
        tide_buf_puts(&out, "HTTP/1.1 204 No Content\r\n\r\n");
    } else if (strcmp(path, "/never") != 0) {
        tiny_odd_answer(conn, path, &out);
    }
    if (out.len)
        tiny_send(conn, &out, close);
}

/* The length of the request at the start of `in`, or 0 while it is incomplete. */
static size_t tiny_request_len(struct tiny_conn *conn)
{
    char *head = conn->in.data, *end = strstr(head, "\r\n\r\n"), *length, *chunked;
    size_t need;

    if (!end)
        return 0;
    *end = '\0';
    length = strstr(head, "Content-Length: ");
    chunked = strstr(head, "chunked");
    *end = '\r';
    need = (size_t)(end + 4 - head);
    if (chunked) {
        char *last = memmem(head + need, conn->in.len - need, "0\r\n\r\n", 5);
        return last ? (size_t)(last + 5 - head) : 0;
    }
    if (length)
        need += (size_t)atoll(length + 16);
    return conn->in.len >= need ? need : 0;
}

static void tiny_serve(struct tiny_conn *conn)
{
    size_t len;
    char path[512] = "", method[16] = "";

    while (conn->in.len && (len = tiny_request_len(conn)) > 0) {
        size_t kept = len < sizeof conn->server->last ? len : sizeof conn->server->last - 1;

        memcpy(conn->server->last, conn->in.data, kept);
        conn->server->last[kept] = '\0';
        sscanf(conn->in.data, "%15s %511s", method, path);
        conn->server->requests++;
        conn->served++;
        tiny_answer(conn, path, len, strcmp(method, "HEAD") == 0);
        if (uv_is_closing((uv_handle_t *)&conn->tcp))
            return;
        memmove(conn->in.data, conn->in.data + len, conn->in.len - len + 1);
        conn->in.len -= len;
    }
    if (strstr(conn->in.data, "Expect: 100-continue")) {
        struct tide_buf out;

        tide_buf_init(&out, 64);
        tide_buf_puts(&out, "HTTP/1.1 100 Continue\r\n\r\n");
        tiny_send(conn, &out, false);
        memset(strstr(conn->in.data, "Expect:"), 'X', 6);
    }
}

static void tiny_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)handle;
    buf->base = malloc(size);
    buf->len = size;
}

static void tiny_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tiny_conn *conn = stream->data;

    if (n > 0) {
        conn->server->bytes_in += (int)n;
        tide_buf_append(&conn->in, buf->base, (size_t)n);
        tiny_serve(conn);
    } else if (n < 0) {
        tiny_close(conn);
    }
    free(buf->base);
}

static void tiny_accept(uv_stream_t *listener, int status)
{
    struct tiny_server *server = listener->data;
    struct tiny_conn *conn = calloc(1, sizeof *conn);

    (void)status;
    tide_buf_init(&conn->in, 64 << 20);
    conn->server = server;
    conn->next = server->conns;
    server->conns = conn;
    server->connections++;
    uv_tcp_init(listener->loop, &conn->tcp);
    conn->tcp.data = conn;
    uv_accept(listener, (uv_stream_t *)&conn->tcp);
    uv_read_start((uv_stream_t *)&conn->tcp, tiny_alloc, tiny_read);
}

static void tiny_start(struct tiny_server *server, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int len = sizeof address;

    memset(server, 0, sizeof *server);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &server->tcp);
    server->tcp.data = server;
    uv_tcp_bind(&server->tcp, (const struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&server->tcp, 1024, tiny_accept);
    uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&address, &len);
    server->port = ntohs(address.sin_port);
}

static void tiny_stop(struct tiny_server *server)
{
    struct tiny_conn *conn;

    for (conn = server->conns; conn; conn = conn->next)
        tiny_close(conn);
    uv_close((uv_handle_t *)&server->tcp, NULL);
}

#endif
