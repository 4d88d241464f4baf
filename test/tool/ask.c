/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.c - what containerd knows, by proto/grpc/ask.h.
 *
 *	ask ADDRESS NAMESPACE ID
 *
 * Prints "known PID STATUS" or "not known", then "label KEY=VALUE" for each label of
 * the container, or "no container". Exit: 0; 1 and the reason on standard error.
 */
#include "proto/grpc/ask.h"

#include <errno.h>
#include <stdio.h>

static int print_label(void *arg, const char *key, const char *value)
{
	(void)arg;
	printf("label %s=%s\n", key, value);
	return 0;
}

int main(int argc, char **argv)
{
	struct ask who = { .timeout_ms = 5000 };
	struct ask_task t;
	struct err err = ERR_INIT;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: ask ADDRESS NAMESPACE ID\n");
		return 2;
	}
	who.address = argv[1];
	who.ns = argv[2];
	who.id = argv[3];
	rc = ask_task(&who, &t, &err);
	if (rc == 0 && t.known)
		printf("known %u %d\n", t.pid, t.status);
	else if (rc == 0)
		printf("not known\n");
	if (rc == 0)
		rc = ask_labels(&who, print_label, NULL, NULL, &err);
	if (rc == -ENODATA) {
		printf("no container\n");
		rc = 0;
	}
	if (rc < 0)
		fprintf(stderr, "ask: %s\n", err.text);
	return rc < 0;
}
