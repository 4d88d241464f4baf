/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_NET_RIG_H
#define URUNC_TEST_LIB_NET_RIG_H

/*
 * net_rig.h - a pod's network, in network namespaces of the test's own.
 *
 * This process stands in one (the "node"), with "peer", one end of a pair of interfaces;
 * a child holds another (the "pod"), where the other end is eth0, 10.4.0.2/24, by way of
 * 10.4.0.1. Root. Every call fails the test by itself when something is not as it must be.
 */

#include "test/lib/node_rig.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SHAPE  "{\"path\":\"%s\"%s}" /* a job's arguments: p->path, g->have */
#define IN_POD "nsenter --net=%s "   /* p->path                             */
#define FRAME  64                    /* bytes of one                        */
#define STATIC ",\"mode\":\"static\""  /* begins g->have of such a guest      */

struct pod {
	struct node_rig *rig;
	pid_t holder;
	char path[64]; /* of its network namespace */
	int ns, own;   /* it, and ours             */
	char before[4096];
	bool nat; /* its guests get the mode static */
	int turn; /* for the test to count          */
};

struct guest {
	char have[1024]; /* the row, without braces */
	char tap[16];
	int fd; /* of its monitor */
};

/* For cmocka: *state is a struct pod. */
int net_rig_up(void **state);
int net_rig_down(void **state);
/* Its last process ends. */
void net_rig_end_pod(struct pod *p);

/* A shell's line. */
void net_rig_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* This process goes there, and back. */
void net_rig_visit(const struct pod *p);
void net_rig_come_back(const struct pod *p);

/* Everything that could be left in there, as text; and it is as at first. */
void net_rig_snapshot(const struct pod *p, char *buf, size_t size);
void net_rig_as_before(const struct pod *p);

/* Name, as the step does, what a look has printed: the digit makes alias and cookie its
 * own. -1: the look named no tap. Then both. */
int net_rig_name(struct guest *g, const char *text, int digit, bool nat);
void net_rig_look(struct pod *p, struct guest *g, int digit);
/* The jobs: their exit code, and what they print, the caller's to free. */
int net_rig_attach(struct pod *p, struct guest *g, char **text);
int net_rig_detach(struct pod *p, struct guest *g, char **text);
/* All of it, and nothing goes wrong. */
void net_rig_make(struct pod *p, struct guest *g, int digit);
void net_rig_unmake(struct pod *p, struct guest *g);

/* The same for two guests of one pod, 1 and 2; and that all is as at first then. */
void net_rig_make_two(struct pod *p, struct guest *a, struct guest *b);
void net_rig_unmake_two(struct pod *p, struct guest *a, struct guest *b);

/* Open the tap as its monitor does: g->fd. */
void net_rig_open_tap(struct pod *p, struct guest *g);
/* And wait until frames of the peer come. */
void net_rig_wake_tap(struct pod *p, struct guest *g);
/* A socket that hears and says frames at an interface. */
int net_rig_listen(const struct pod *p, const char *iface, bool in_pod);
/* A frame with a word, then one that says "end"; one frame; a TCP packet with flags. */
void net_rig_say_word(int fd, const char *word);
void net_rig_say(int fd, const uint8_t *frame);
void net_rig_tcp(uint8_t *frame, uint8_t flags, const char *word);
/* How many frames with this word come, before the one that says "end"? */
int net_rig_hears(int fd, const char *word);
/* poll(2)'s answer for one descriptor. */
int net_rig_hears_within(int fd, int ms);

#endif
