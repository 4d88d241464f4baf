/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ttrpc/status.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row a code. errno_in is what a peer's code becomes here. */
static const struct {
	const char *name;
	const char *class; /* NULL: no class is added to the text */
	int errno_in;
} codes[] = {
	[STATUS_OK] = { "OK", NULL, 0 },
	[STATUS_CANCELED] = { "Canceled", "context canceled", ECANCELED },
	[STATUS_UNKNOWN] = { "Unknown", NULL, EIO },
	[STATUS_INVALID_ARGUMENT] = { "InvalidArgument", "invalid argument", EINVAL },
	[STATUS_DEADLINE_EXCEEDED] = { "DeadlineExceeded", "context deadline exceeded", ETIMEDOUT },
	[STATUS_NOT_FOUND] = { "NotFound", "not found", ENOENT },
	[STATUS_ALREADY_EXISTS] = { "AlreadyExists", "already exists", EEXIST },
	[STATUS_PERMISSION_DENIED] = { "PermissionDenied", "permission denied", EACCES },
	[STATUS_RESOURCE_EXHAUSTED] = { "ResourceExhausted", "resource exhausted", ENOBUFS },
	[STATUS_FAILED_PRECONDITION] = { "FailedPrecondition", "failed precondition", EBADFD },
	[STATUS_ABORTED] = { "Aborted", "aborted", EAGAIN },
	[STATUS_OUT_OF_RANGE] = { "OutOfRange", "out of range", ERANGE },
	[STATUS_UNIMPLEMENTED] = { "Unimplemented", "not implemented", ENOSYS },
	[STATUS_INTERNAL] = { "Internal", "internal", EREMOTEIO },
	[STATUS_UNAVAILABLE] = { "Unavailable", "unavailable", ESHUTDOWN },
	[STATUS_DATA_LOSS] = { "DataLoss", "data loss", EBADMSG },
	[STATUS_UNAUTHENTICATED] = { "Unauthenticated", "unauthenticated", EPERM },
};

enum status_code status_of_errno(int code)
{
	switch (abs(code)) {
	case 0:
		return STATUS_OK;
	case ENOENT:
	case ESRCH:
		return STATUS_NOT_FOUND;
	case EEXIST:
		return STATUS_ALREADY_EXISTS;
	case EINVAL:
		return STATUS_INVALID_ARGUMENT;
	case EBADFD:
		return STATUS_FAILED_PRECONDITION;
	case ENOSYS:
	case ENOTSUP:
		return STATUS_UNIMPLEMENTED;
	case ESHUTDOWN:
	case ECONNREFUSED:
		return STATUS_UNAVAILABLE;
	case ETIMEDOUT:
		return STATUS_DEADLINE_EXCEEDED;
	case ECANCELED:
		return STATUS_CANCELED;
	default:
		return STATUS_UNKNOWN;
	}
}

int status_to_errno(int code)
{
	return code >= 0 && (size_t)code < ARRAY_SIZE(codes) ? codes[code].errno_in : EPROTO;
}

const char *status_name(int code)
{
	return code >= 0 && (size_t)code < ARRAY_SIZE(codes) ? codes[code].name : "?";
}

static int ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), e = strlen(end);

	return n >= e && strcmp(text + n - e, end) == 0;
}

void status_text(int code, const char *text, char *ret, size_t size)
{
	const char *class = NULL;

	if (code >= 0 && (size_t)code < ARRAY_SIZE(codes))
		class = codes[code].class;
	if (!class || ends_with(text, class))
		(void)snprintf(ret, size, "%s", text);
	else if (!*text)
		(void)snprintf(ret, size, "%s", class);
	else
		(void)snprintf(ret, size, "%s: %s", text, class);
}

/* How many bytes the character at @p has; 0: it is none. */
static size_t utf8_len(const unsigned char *p)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* too long a form of a small one; a surrogate; beyond the last */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

void status_clean(char *text)
{
	unsigned char *p = (unsigned char *)text;
	size_t n;

	while (*p) {
		n = utf8_len(p);
		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
}
