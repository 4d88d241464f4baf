/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BASE_ERR_H
#define URUNC_BASE_ERR_H

/*
 * err.h - the one way this project says that something went wrong.
 *
 * A function that can fail returns int: 0 (or a documented positive value), or a
 * negative errno value. It takes "struct err *err" last. On failure it has
 * filled *err, on success it has not touched it. Every caller on the way up may
 * put one clause in front, so that an operator reads a sentence from the outside
 * in, ending with the cause:
 *
 *	create default/c1: mount rootfs: overlay on /run/.../rootfs: No such device
 *
 * A negative value is passed up unread, unless the header of the function names
 * it and says what it means.
 *
 * The struct lives on the caller's stack and nothing here allocates: reporting
 * must work when memory is what ran out. All functions accept err == NULL (the
 * caller does not care) and keep errno as it was.
 */

#include <stddef.h>

#define ERR_TEXT_MAX 1024 /* bytes with the final NUL; longer texts lose their tail */

struct err {
	int code;                /* errno value, > 0; 0: nothing went wrong */
	char text[ERR_TEXT_MAX]; /* always terminated                       */
};

#define ERR_INIT { .code = 0, .text = "" }

/**
 * err_set() - report a failure of the system: the text ends with strerror(code)
 * @code:	errno value, > 0
 * @fmt:	what was attempted, on what, without the reason
 *
 * Return: -code, so that "return err_set(...)" is a whole error path.
 */
int err_set(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * err_say() - report a failure that we found ourselves: the text is all of it
 * @code:	errno value, > 0: the class callers decide by
 * @fmt:	what, on which task or file, why, and what to do about it
 *
 * Return: -code.
 */
int err_say(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * err_wrap() - put "<what we were doing>: " in front of a failure
 *
 * Return: the negative code the failure was reported with (-EIO if it was not).
 */
int err_wrap(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
