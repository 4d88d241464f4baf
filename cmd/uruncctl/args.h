/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CTL_ARGS_H
#define URUNC_CTL_ARGS_H

/*
 * args.h - the command line, as tables.
 *
 * A verb and a flag are rows; parsing, usage texts, "did you mean" and the refusal
 * of what is unknown come from the rows. Flags may stand before or after the verb,
 * single letters may be joined (-nv), "--" ends them. None takes a value.
 */

#include "journal/base/err.h"

#include <stdio.h>

struct ctl;

enum {
	FLAG_JSON = 1 << 0,
	FLAG_NO_COLOR = 1 << 1,
	FLAG_QUIET = 1 << 2,
	FLAG_VERBOSE = 1 << 3,
	FLAG_HELP = 1 << 4,
	FLAG_VERSION = 1 << 5,
	FLAG_DRY_RUN = 1 << 6,
	FLAG_BOOT = 1 << 7,
	FLAG_FORGOTTEN = 1 << 8,
	FLAG_ALL = 1 << 9,
	FLAG_MDOC = 1 << 10,
	FLAG_PROMELA = 1 << 11,
};
/* Every verb has these. */
#define FLAGS_GLOBAL                                                                 \
	(FLAG_JSON | FLAG_NO_COLOR | FLAG_QUIET | FLAG_VERBOSE | FLAG_HELP | FLAG_VERSION)

struct flag {
	unsigned bit;
	const char *name; /* without the dashes */
	char letter;      /* 0: none */
	const char *says; /* one line of the usage */
};

enum need { NEED_NOTHING, NEED_JOURNAL, NEED_NODE }; /* NODE: and the journal */

struct verb {
	const char *name;     /* may be two words: "journal check" */
	const char *operands; /* for the usage: "[TASK...]" */
	const char *says;     /* one line */
	unsigned flags;       /* its own, besides FLAGS_GLOBAL */
	int min, max;         /* operands; max -1: any number */
	enum need need;
	int broken, usage;    /* exit status: could not work; called wrongly */
	int (*run)(struct ctl *ctl);
};

/* The table of main.c, ended by a row without a name. */
extern const struct verb verbs[];

struct args {
	const struct verb *verb; /* NULL: none was named */
	unsigned flags;
	int argc;    /* operands */
	char **argv; /* the caller's argv, reordered */
};

/**
 * args_parse() - split the command line
 *
 * --help wins: where it is given, nothing else is found wrong.
 *
 * Return: 0; -EINVAL with a sentence that ends in what to type instead (then
 * ret->verb is set if the verb was understood).
 */
int args_parse(struct args *ret, int argc, char **argv, struct err *err);

/* A verb by its words; *used: how many they are. NULL: none. */
const struct verb *args_verb(int argc, char *const *argv, int *used);

/* The verb nearest to a misspelt word; NULL if none is near. */
const char *args_near_verb(const char *word);

/* All verbs, or (@verb) one of them with its flags. */
void args_usage(FILE *to, const struct verb *verb);

#endif
