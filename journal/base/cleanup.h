/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BASE_CLEANUP_H
#define URUNC_BASE_CLEANUP_H

/*
 * cleanup.h - resources that release themselves when their scope ends.
 *
 *	auto_fd int fd = open(...);	closed on every path out of the scope
 *	return TAKE_FD(fd);		except this one: now the caller owns it
 *
 * Initialise at the declaration (-1 or NULL), one variable a line, and never
 * assign over an armed one. A release keeps errno, so "return -errno" is right
 * with armed variables in scope. auto_json needs <json-c/json.h>.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define auto_fd   __attribute__((cleanup(cleanup_fd_)))
#define auto_free __attribute__((cleanup(cleanup_free_)))
#define auto_dir  __attribute__((cleanup(cleanup_dir_)))
#define auto_file __attribute__((cleanup(cleanup_file_)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Hand over: the value comes back, the variable is disarmed. */
#define TAKE_FD(fd)                   \
	__extension__({               \
		int *p_ = &(fd);      \
		int v_ = *p_;         \
		*p_ = -1;             \
		v_;                   \
	})
#define TAKE_PTR(ptr)                          \
	__extension__({                        \
		__typeof__(ptr) *p_ = &(ptr);  \
		__typeof__(ptr) v_ = *p_;      \
		*p_ = NULL;                    \
		v_;                            \
	})

static inline void cleanup_fd_(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

static inline void cleanup_free_(void *pp)
{
	int saved = errno;

	free(*(void **)pp);
	errno = saved;
}

static inline void cleanup_dir_(DIR **d)
{
	int saved = errno;

	if (*d)
		(void)closedir(*d);
	errno = saved;
}

static inline void cleanup_file_(FILE **f)
{
	int saved = errno;

	if (*f)
		(void)fclose(*f);
	errno = saved;
}

#ifdef _json_h_
#define auto_json __attribute__((cleanup(cleanup_json_)))
static inline void cleanup_json_(json_object **o)
{
	int saved = errno;

	if (*o)
		json_object_put(*o);
	errno = saved;
}
#endif

#endif
