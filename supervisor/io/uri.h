/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_IO_URI_H
#define URUNC_IO_URI_H

/*
 * uri.h - the URIs that name a log: file:///path, binary:///program?key=value.
 *
 * Three slashes: there is no host, and the path is absolute. %XX is decoded (never to
 * a NUL), in the query '+' is a blank, a fragment is cut off. Pure; fuzzed.
 */

#include "journal/base/err.h"

#include <stddef.h>

#define URI_MAX       8192 /* bytes that are looked at; longer ones are refused */
#define URI_PAIRS_MAX 64

/* The path, without the query. -EINVAL, -ENAMETOOLONG; the sentence names the URI. */
int uri_path(char *ret, size_t size, const char *uri, struct err *err);

/**
 * uri_argv() - a command line: the path, then of each pair of the query key and value
 * @ret:	NULL-terminated, in one allocation, the caller's to free()
 *
 * Pairs stay in their order; a key without a value has "", one that comes again is
 * passed over.
 *
 * Return: 0; -EINVAL; -E2BIG more than URI_PAIRS_MAX pairs; -ENAMETOOLONG.
 */
int uri_argv(char ***ret, const char *uri, struct err *err);

#endif
