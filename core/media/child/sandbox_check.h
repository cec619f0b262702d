/* Tries the sandbox out on this machine, for `tidemill-media --check-sandbox`. */
#ifndef TIDE_MEDIA_CHILD_SANDBOX_CHECK_H
#define TIDE_MEDIA_CHILD_SANDBOX_CHECK_H

/* Prints a line an attempt. 0: everything was stopped that must be, else 1: an exit status. */
int sandbox_check(void);

#endif
