/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_STATUS_H
#define URUNC_TTRPC_STATUS_H

/*
 * status.h - between our errors (errno) and those of ttrpc and gRPC (a code).
 *
 * Both protocols use the same sixteen codes. On the way out one errno has one code:
 *
 *	errno                          code                    what containerd reads
 *	ENOENT, ESRCH                  5  NotFound             not found
 *	EEXIST                         6  AlreadyExists        already exists
 *	EINVAL                         3  InvalidArgument      invalid argument
 *	EBADFD                         9  FailedPrecondition   failed precondition
 *	ENOSYS, ENOTSUP                12 Unimplemented        not implemented
 *	ESHUTDOWN, ECONNREFUSED        14 Unavailable          unavailable
 *	ETIMEDOUT                      4  DeadlineExceeded     context deadline exceeded
 *	ECANCELED                      1  Canceled             context canceled
 *	everything else                2  Unknown              the text alone
 *
 * EBADFD ("file descriptor in bad state") means: the task is not in a state for
 * this. It was chosen because no system call that we make returns it, so that
 * nothing gets the code by accident. The other codes of gRPC would be Unknown to
 * containerd 1.6 and 1.7, so no errno maps to them.
 *
 * NotFound is an answer with consequences: on Delete it makes containerd go on and
 * forget the task. A handler that passes up an error of the host (a missing mount
 * source is ENOENT too) must not let it look like a missing task: it answers with
 * call_fail_code(..., STATUS_UNKNOWN, ...), see method.h.
 *
 * On the way in every code has an errno; those above come back as the first named,
 * and: 2 EIO, 7 EACCES, 8 ENOBUFS, 10 EAGAIN, 11 ERANGE, 13 EREMOTEIO, 15 EBADMSG,
 * 16 EPERM, others EPROTO.
 */

#include <stddef.h>

enum status_code {
	STATUS_OK = 0,
	STATUS_CANCELED = 1,
	STATUS_UNKNOWN = 2,
	STATUS_INVALID_ARGUMENT = 3,
	STATUS_DEADLINE_EXCEEDED = 4,
	STATUS_NOT_FOUND = 5,
	STATUS_ALREADY_EXISTS = 6,
	STATUS_PERMISSION_DENIED = 7,
	STATUS_RESOURCE_EXHAUSTED = 8,
	STATUS_FAILED_PRECONDITION = 9,
	STATUS_ABORTED = 10,
	STATUS_OUT_OF_RANGE = 11,
	STATUS_UNIMPLEMENTED = 12,
	STATUS_INTERNAL = 13,
	STATUS_UNAVAILABLE = 14,
	STATUS_DATA_LOSS = 15,
	STATUS_UNAUTHENTICATED = 16,
};

/* The code for an errno value (its sign does not matter); 0 is STATUS_OK. */
enum status_code status_of_errno(int code);

/* The errno value (> 0) for a code; 0 for STATUS_OK. */
int status_to_errno(int code);

/* The name of a code, as in the table: "NotFound"; "?" for one that is none. */
const char *status_name(int code);

/**
 * status_text() - a text as containerd likes it: "<text>: <class>"
 * @ret:	at least 1 byte; always terminated, cut short if it must be
 *
 * The class is what the table says for @code. It is not added twice, and not for
 * Unknown. containerd takes it off again, and knows by it what the error was even
 * after the error went through a layer that keeps only the text.
 */
void status_text(int code, const char *text, char *ret, size_t size);

/* Put '?' for every byte that is no UTF-8. A Go peer refuses a whole response for one
 * such byte, and texts have them: from paths, from runtimes, from having been cut. */
void status_clean(char *text);

#endif
