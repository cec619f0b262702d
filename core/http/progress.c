/* linux/tcp.h knows more than netinet/tcp.h and can't be included beside it: so a file of its own. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "http/progress.h"

bool tide_http_progress_get(int fd, struct tide_http_progress *progress)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    progress->received = info.tcpi_bytes_received;
    progress->acked = info.tcpi_bytes_acked;
    return true;
}
