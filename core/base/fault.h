/*
 * Named points at which a test can have the process killed, to show that what was acknowledged survives a
 * death exactly there. Used where a step of a job has happened and the next one has not. Only
 * build/armed/tidemill, which is built with the tests, has them armed; in every other build the function is
 * empty. Any thread.
 *
 * The test makes an empty file, POINT or POINT.SUBJECT, in the directory $TIDE_FAULTS. The first process to
 * come by removes it and gets SIGKILL, so each file kills once:
 *
 *   blob.written.BUCKET     the bytes of a new file are stored, the file is not yet visible
 *   gridfs.chunks.BUCKET.files  as blob.written, at the last moment: all chunks are in place, and counted
 *   blob.committed.BUCKET   it is visible, whoever waits for that has not heard
 *   queue.published.QUEUE   the message is in the queue, its publisher has not heard
 *   queue.handled.QUEUE     the handler has returned, the message is not acknowledged
 *   media.transcoded        the MP3 is written, but not committed
 *   reload.agreed.BUNDLE    a worker has loaded a new generation and says so, it has not swapped it in
 *   mail.sent               the mail server has the e-mail, the script has not heard
 */
#ifndef TIDE_BASE_FAULT_H
#define TIDE_BASE_FAULT_H

void tide_fault(const char *point, const char *subject); /* subject: NULL when the point has none */

#endif
