/*
 * tidemill-media: one transcoding job for the engine, which starts it and speaks media/protocol.h with it on
 * descriptor
 * 3. Not of use by hand, but for --check-sandbox: `tidemill convert` is. Reads untrusted bytes, so it gives
 * up all rights first (sandbox.h).
 */
#include <libavutil/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media/child/channel.h"
#include "media/child/sandbox.h"
#include "media/child/sandbox_check.h"
#include "media/child/transcode.h"

/* What the libraries complain about goes to the engine's log, a few lines of it. */
static void log_line(void *context, int level, const char *format, va_list args)
{
    static int prefix = 1, lines = 0;
    char line[256];

    if (level > AV_LOG_ERROR || lines >= 20)
        return;
    lines++;
    av_log_format_line2(context, level, format, args, line, sizeof line, &prefix);
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        lines = 20;
}

static void measure(struct tide_frame_result *result)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    result->cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * (int64_t)1000 +
                     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    result->peak_memory = usage.ru_maxrss * (int64_t)1024;
}

static bool is_socket(int fd)
{
    int type;
    socklen_t len = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

int main(int argc, char **argv)
{
    static struct channel channel;
    static char title[TIDE_MEDIA_TITLE_MAX + 1];
    struct tide_frame_start start;
    struct tide_frame_result result = {0};
    struct tide_err err = {0};
    bool ok;

    if (argc == 2 && strcmp(argv[1], "--check-sandbox") == 0)
        return sandbox_check();
    if (!is_socket(TIDE_MEDIA_CHANNEL_FD)) {
        fprintf(stderr, "tidemill-media is started by tidemill; use `tidemill convert IN OUT`.\n"
                        "tidemill-media --check-sandbox tries its sandbox out on this machine.\n");
        return 2;
    }
    sandbox_early(TIDE_MEDIA_CHANNEL_FD);
    av_log_set_callback(log_line);
    channel_init(&channel, TIDE_MEDIA_CHANNEL_FD);
    channel_start(&channel, &start, title);
    ok = sandbox_enter(&(struct sandbox_limits){start.max_memory, start.max_cpu_ms}, TIDE_MEDIA_CHANNEL_FD,
                       &err) &&
         transcode(&channel, &start, title, &result, &err);
    measure(&result);
    if (ok)
        channel_result(&channel, &result);
    else
        channel_error(&channel, &err);
    return 0;
}
