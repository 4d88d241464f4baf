/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CALLS_FAMINE_H
#define URUNC_CALLS_FAMINE_H

/*
 * famine.h - one process is denied its Nth allocation.
 *
 * A page that the test and all its processes share, by a file that FAMINE names in
 * their environment; LD_PRELOAD gives them a malloc() that reads it, see
 * test/preload/famine.c. Whatever asks for memory is counted: our code, and SQLite,
 * json-c, protobuf-c, libevent and the C library below it. Where it was denied is
 * written to that file's name with ".denied", and where it died of a SIGSEGV or SIGABRT
 * to that with ".crash": lines of backtrace_symbols_fd(3).
 */

#include <stdbool.h>
#include <sys/types.h>

#define FAMINE_FILE "FAMINE"

struct famine {
	volatile pid_t target; /* 0: nobody; children of it are not counted */
	volatile long n;       /* which allocation fails; 0: none           */
	volatile long seen;
	volatile bool fell;
};

#endif
