/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	int saved = errno;
	char reason[128];
	size_t n;
	va_list ap;

	if (!err)
		return -code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	/* strerror_r (GNU) never fails and needs no memory of ours to be shared. */
	snprintf(err->text + n, sizeof(err->text) - n, ": %s",
		 strerror_r(code, reason, sizeof(reason)));
	errno = saved;
	return -code;
}

int err_say(struct err *err, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!err)
		return -code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	errno = saved;
	return -code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	char inner[ERR_TEXT_MAX];
	size_t n;
	va_list ap;

	if (!err)
		return -EIO;
	memcpy(inner, err->text, sizeof(inner));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof(err->text) - n, ": %s", inner);
	errno = saved;
	return err->code ? -err->code : -EIO;
}
