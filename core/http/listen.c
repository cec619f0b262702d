/*
 * Listening sockets that share one port. SO_REUSEPORT lets any process of the same user join silently, a
 * stale one too; so the first socket binds and listens without it, which fails when anybody holds the port,
 * and only then allows others.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

#define BACKLOG 4096

/* ---- who holds a port ---- */

/* The inode of a socket that listens on the port, from a table in the form of /proc/net/tcp; 0: none. */
static unsigned long listening_inode(const char *table, int port)
{
    FILE *file = fopen(table, "re");
    unsigned local_port, state;
    unsigned long inode = 0;
    char line[512];

    while (file && inode == 0 && fgets(line, sizeof line, file)) {
        if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", &local_port,
                   &state, &inode) != 3 ||
            local_port != (unsigned)port || state != 10 /* TCP_LISTEN */)
            inode = 0;
    }
    if (file)
        fclose(file);
    return inode;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char path[600], link[64], wanted[64];
    struct dirent *entry;
    bool found = false;
    ssize_t n;
    DIR *dir;

    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    dir = opendir(path);
    while (dir && !found && (entry = readdir(dir))) {
        snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
        n = readlink(path, link, sizeof link - 1);
        found = n > 0 && (size_t)n == strlen(wanted) && memcmp(link, wanted, (size_t)n) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

static void read_command(const char *pid, char *out, size_t cap)
{
    char path[300];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    file = fopen(path, "re");
    if (!file || !fgets(out, (int)cap, file))
        snprintf(out, cap, "unknown");
    out[strcspn(out, "\n")] = '\0';
    if (file)
        fclose(file);
}

static bool find_holder(unsigned long inode, char *out, size_t cap)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    bool found = false;
    char command[64];

    while (dir && !found && (entry = readdir(dir)))
        if (isdigit((unsigned char)entry->d_name[0]) && has_socket(entry->d_name, inode)) {
            read_command(entry->d_name, command, sizeof command);
            snprintf(out, cap, "%s (pid %.12s)", command, entry->d_name);
            found = true;
        }
    if (dir)
        closedir(dir);
    return found;
}

static bool fail_held(const char *address, int port, struct tide_err *err)
{
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    char holder[96] = "another process";

    if (inode == 0)
        inode = listening_inode("/proc/net/tcp6", port);
    if (inode != 0)
        find_holder(inode, holder, sizeof holder);
    return tide_err_set(err, TIDE_ERR_CONFLICT, false, "%s is held by %s", address, holder);
}

/* ---- addresses ---- */

static bool parse_port(const char *text, int *port)
{
    size_t len = strlen(text);

    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return false;
    *port = atoi(text);
    return *port <= 65535;
}

/* Splits "host:port" or "[v6]:port". */
static bool split_address(const char *address, char *host, size_t cap, int *port)
{
    bool bracket = address[0] == '[';
    const char *start = address + bracket;
    const char *end = bracket ? strchr(start, ']') : strchr(start, ':');
    const char *colon = end ? end + bracket : NULL;

    if (!colon || *colon != ':' || end == start || (size_t)(end - start) >= cap ||
        !parse_port(colon + 1, port))
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    return true;
}

static struct addrinfo *resolve(const char *address, int *port, struct tide_err *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *info = NULL;
    char host[256], service[16];
    int failure;

    if (!split_address(address, host, sizeof host, port)) {
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     "\"%s\" is not an address like 127.0.0.1:8080 or [::1]:8080", address);
        return NULL;
    }
    snprintf(service, sizeof service, "%d", *port);
    failure = getaddrinfo(host, service, &hints, &info);
    if (failure == 0)
        return info;
    tide_err_set(err, failure == EAI_AGAIN ? TIDE_ERR_UNAVAILABLE : TIDE_ERR_INVALID, failure == EAI_AGAIN,
                 "address \"%s\": %s", address, gai_strerror(failure));
    return NULL;
}

/* ---- sockets ---- */

static void allow(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* Bound and listening, or -1 with errno. `shared`: joins sockets that allow it. */
static int open_socket(const struct sockaddr *addr, socklen_t len, bool shared)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), failure;

    if (fd < 0)
        return -1;
    allow(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (addr->sa_family == AF_INET6)
        allow(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (shared)
        allow(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (bind(fd, addr, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

static bool fail_open(const char *address, int port, struct tide_err *err)
{
    if (errno == EADDRINUSE)
        return fail_held(address, port, err);
    if (errno == EACCES)
        return tide_err_set(err, TIDE_ERR_DENIED, false, "%s: no permission to listen on this port", address);
    if (errno == EADDRNOTAVAIL)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "%s is not an address of this machine", address);
    return tide_err_errno(err, errno, address);
}

static int port_of(const struct sockaddr_storage *bound)
{
    if (bound->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)bound)->sin6_port);
    return ntohs(((const struct sockaddr_in *)bound)->sin_port);
}

static void close_all(const int *fds, unsigned count)
{
    while (count > 0)
        close(fds[--count]);
}

bool tide_http_listen(const char *address, int *fds, unsigned count, int *port, struct tide_err *err)
{
    struct addrinfo *info = resolve(address, port, err);
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    unsigned i;

    if (!info)
        return false;
    fds[0] = open_socket(info->ai_addr, info->ai_addrlen, false);
    freeaddrinfo(info);
    if (fds[0] < 0)
        return fail_open(address, *port, err);
    if (getsockname(fds[0], (struct sockaddr *)&bound, &len) != 0) {
        close_all(fds, 1);
        return tide_err_errno(err, errno, address);
    }
    *port = port_of(&bound);
    if (count > 1)
        allow(fds[0], SOL_SOCKET, SO_REUSEPORT, 1);
    for (i = 1; i < count; i++) {
        fds[i] = open_socket((const struct sockaddr *)&bound, len, true);
        if (fds[i] < 0) {
            fail_open(address, *port, err);
            close_all(fds, i);
            return false;
        }
    }
    return true;
}
