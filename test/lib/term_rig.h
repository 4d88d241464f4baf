/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_TERM_RIG_H
#define URUNC_TEST_LIB_TERM_RIG_H

/*
 * term_rig.h - a real terminal with a process on it, a client's FIFOs, and the copying
 * in between, for one test.
 */

#include "supervisor/io/pty.h"

#include <stdint.h>

#define MEGA (1024 * 1024)

struct event;
struct event_base;

struct term {
	struct event_base *base;
	char dir[64], in[80], out[80];
	struct stdio_names names;
	struct pty *pty;
	int master;
	pid_t child;
	int go, said;        /* to and from the child */
	int child_go, child_said;
	int pidfd, status;
	struct event *exit;
	int exited, drained, lost;
	/* the client */
	int reader, writer;
	struct event *read;
	size_t bytes;
	uint32_t sum;
	int eof;
	char first[256];     /* the beginning of what it read */
	const char *want;    /* in that; then */
	int found;
};

/* For cmocka: *state is a struct term, with a client that has opened its side. */
int term_up(void **state);
int term_down(void **state);

/* A process that runs @life on a terminal of its own; copying has not begun. */
void term_begin(struct term *t, void (*life)(struct term *));
void term_copy(struct term *t);
/* The output ends, the process has exited with 0, and both were told. */
void term_ends_well(struct term *t);

/* The client: comes; reads from now on; until it has read that; goes. */
void term_attach(struct term *t);
void term_reads(struct term *t);
void term_until_read(struct term *t, const char *text);
void term_detach(struct term *t);

/* Let it go on after child_wait(); turn until child_say(). */
void term_let_go(struct term *t);
void term_until_said(struct term *t);

/* A sum that depends on the order; and that of child_put_many(). */
uint32_t term_add(uint32_t sum, const unsigned char *data, size_t n);
uint32_t term_sum_of(size_t total);

/* In the process: it exits with 90 or more when something fails. */
void child_wait(struct term *t);
void child_say(struct term *t);
void child_put(const char *text);
void child_put_many(size_t total);
void child_raw(void);

#endif
