/* linux/tcp.h knows more than netinet/tcp.h and can't be included beside it: so a file of its own. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "http/progress.h"

#define CLOSE_WAIT 8 /* tcpi_state; its names are in the other header */

bool tide_http_progress_get(int fd, struct tide_http_progress *progress)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    int waiting = 0;

    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    progress->received = info.tcpi_bytes_received;
    progress->acked = info.tcpi_bytes_acked;
    progress->over = info.tcpi_state == CLOSE_WAIT && ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0;
    return true;
}
