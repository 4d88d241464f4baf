/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/uruncctl/args.h"

#include "journal/base/cleanup.h"

#include <stdbool.h>
#include <string.h>

#define WORD_MAX 32 /* a longer word is no misspelling of ours */
#define NEAR     3  /* this many single edits away is still near */

static const struct flag flags[] = {
	{ FLAG_DRY_RUN, "dry-run", 'n', "say what would be done, change nothing" },
	{ FLAG_BOOT, "boot", 0, "before containerd: tasks of earlier boots, in bounded time" },
	{ FLAG_FORGOTTEN, "forgotten", 0,
	  "also living shims whose containerd is down or does not know them" },
	{ FLAG_ALL, "all", 'a', "the history too" },
	{ FLAG_MDOC, "mdoc", 0, "as manual page source" },
	{ FLAG_PROMELA, "promela", 0, "as the model that SPIN checks" },
	{ FLAG_JSON, "json", 'j', "one JSON value on stdout" },
	{ FLAG_NO_COLOR, "no-color", 0, "no colours; also NO_COLOR in the environment" },
	{ FLAG_QUIET, "quiet", 'q', "no hints, no progress, nothing about what is well" },
	{ FLAG_VERBOSE, "verbose", 'v', "print what is well, too" },
	{ FLAG_HELP, "help", 'h', "this text" },
	{ FLAG_VERSION, "version", 'V', "the version" },
};

static int min3(int a, int b, int c)
{
	int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance: how many letters to change, add or drop. */
static int distance(const char *a, const char *b)
{
	size_t la = strlen(a);
	size_t lb = strlen(b);
	int row[WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (int)j;
	for (size_t i = 1; i <= la; i++) {
		int diagonal = row[0];

		row[0] = (int)i;
		for (size_t j = 1; j <= lb; j++) {
			int above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb];
}

/* Near: few edits, and fewer than half of the word; or the beginning of it. */
static bool nearer(const char *word, const char *name, int *best)
{
	int d = distance(word, name);

	if (strlen(word) >= 2 && strncmp(word, name, strlen(word)) == 0)
		d = 1;
	if (d >= *best || d * 2 > (int)strlen(name))
		return false;
	*best = d;
	return true;
}

const char *args_near_verb(const char *word)
{
	const char *found = NULL;
	int best = NEAR + 1;

	for (const struct verb *v = verbs; v->name; v++) {
		char first[WORD_MAX] = "";

		(void)strncat(first, v->name, strcspn(v->name, " "));
		if (nearer(word, v->name, &best) || nearer(word, first, &best))
			found = v->name;
	}
	return found;
}

static const char *near_flag(const char *word, unsigned allowed)
{
	const char *found = NULL;
	int best = NEAR + 1;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if ((flags[i].bit & allowed) && nearer(word, flags[i].name, &best))
			found = flags[i].name;
	return found;
}

const struct verb *args_verb(int argc, char *const *argv, int *used)
{
	for (const struct verb *v = verbs; v->name; v++) {
		size_t first = strcspn(v->name, " ");
		int words = v->name[first] ? 2 : 1;

		if (argc < words || strncmp(argv[0], v->name, first) != 0 || argv[0][first])
			continue;
		if (words == 2 && strcmp(argv[1], v->name + first + 1) != 0)
			continue;
		*used = words;
		return v;
	}
	return NULL;
}

static unsigned flag_long(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (strcmp(flags[i].name, name) == 0)
			return flags[i].bit;
	return 0;
}

static unsigned flag_letter(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].letter == letter)
			return flags[i].bit;
	return 0;
}

/* The bits of one word that begins with a dash; 0: unknown. */
static unsigned flag_word(const char *word)
{
	unsigned bits = 0;

	if (word[1] == '-')
		return flag_long(word + 2);
	for (const char *p = word + 1; *p; p++) {
		unsigned bit = flag_letter(*p);

		if (!bit)
			return 0;
		bits |= bit;
	}
	return bits;
}

static bool is_flag(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (is_flag(argv[i]) && (flag_word(argv[i]) & FLAG_HELP))
			return true;
	return false;
}

/* Operands to the front of argv; unknown flags are left for the check, which needs
 * the verb to say what was meant. */
static int split(struct args *ret, int argc, char **argv, const char **unknown)
{
	bool ended = false;
	int n = 0;

	for (int i = 1; i < argc; i++) {
		unsigned bits;

		if (ended || !is_flag(argv[i])) {
			argv[n++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			ended = true;
			continue;
		}
		bits = flag_word(argv[i]);
		if (!bits && !*unknown)
			*unknown = argv[i];
		ret->flags |= bits;
	}
	return n;
}

static const char *help_of(const struct args *args, char *buf, size_t size)
{
	(void)snprintf(buf, size, "uruncctl help%s%s", args->verb ? " " : "",
		       args->verb ? args->verb->name : "");
	return buf;
}

static int refuse_flag(const struct args *args, const char *word, struct err *err)
{
	unsigned allowed = FLAGS_GLOBAL | (args->verb ? args->verb->flags : ~0u);
	const char *near = word[1] == '-' ? near_flag(word + 2, allowed) : NULL;
	char help[64];

	if (near)
		return err_say(err, EINVAL, "unknown option %s; did you mean --%s?", word, near);
	return err_say(err, EINVAL, "unknown option %s; see %s", word,
		       help_of(args, help, sizeof(help)));
}

static int check_flags(const struct args *args, const char *unknown, struct err *err)
{
	unsigned extra = args->flags & ~(FLAGS_GLOBAL | (args->verb ? args->verb->flags : 0));
	char help[64];

	if (unknown)
		return refuse_flag(args, unknown, err);
	if (!args->verb)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].bit & extra)
			return err_say(err, EINVAL, "%s has no option --%s; see %s",
				       args->verb->name, flags[i].name,
				       help_of(args, help, sizeof(help)));
	return 0;
}

static int check_operands(const struct args *args, struct err *err)
{
	const struct verb *v = args->verb;
	char help[64];

	if (args->argc < v->min)
		return err_say(err, EINVAL, "%s needs %s; see %s", v->name, v->operands,
			       help_of(args, help, sizeof(help)));
	if (v->max >= 0 && args->argc > v->max)
		return err_say(err, EINVAL, "%s: '%s' is one operand too many; see %s", v->name,
			       args->argv[v->max], help_of(args, help, sizeof(help)));
	return 0;
}

static int refuse_verb(const char *word, struct err *err)
{
	const char *near = args_near_verb(word);

	if (near)
		return err_say(err, EINVAL, "there is no verb '%s'; did you mean 'uruncctl %s'?",
			       word, near);
	return err_say(err, EINVAL, "there is no verb '%s'; see uruncctl help", word);
}

int args_parse(struct args *ret, int argc, char **argv, struct err *err)
{
	const char *unknown = NULL;
	bool help = asks_for_help(argc, argv);
	int words = 0;
	int n;
	int r;

	*ret = (struct args){ .verb = NULL };
	n = split(ret, argc, argv, &unknown);
	ret->verb = args_verb(n, argv, &words);
	ret->argc = n - words;
	ret->argv = argv + words;
	if (help)
		return 0;
	if (!ret->verb && n > 0)
		return refuse_verb(argv[0], err);
	r = check_flags(ret, unknown, err);
	if (r < 0 || !ret->verb || (ret->flags & FLAG_VERSION))
		return r;
	return check_operands(ret, err);
}

static void usage_flags(FILE *to, unsigned mask)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct flag *f = &flags[i];

		if (!(f->bit & mask))
			continue;
		if (f->letter)
			(void)fprintf(to, "  -%c, --%-12s  %s\n", f->letter, f->name, f->says);
		else
			(void)fprintf(to, "      --%-12s  %s\n", f->name, f->says);
	}
}

void args_usage(FILE *to, const struct verb *verb)
{
	if (verb) {
		(void)fprintf(to, "usage: uruncctl %s [OPTION...]%s%s\n\n%s\n\n", verb->name,
			      verb->operands[0] ? " " : "", verb->operands, verb->says);
		usage_flags(to, verb->flags | FLAGS_GLOBAL);
		return;
	}
	(void)fprintf(to, "usage: uruncctl [OPTION...] VERB [TASK...]\n\n");
	for (const struct verb *v = verbs; v->name; v++) {
		char head[64];

		(void)snprintf(head, sizeof(head), "%s%s%s", v->name, v->operands[0] ? " " : "",
			       v->operands);
		(void)fprintf(to, "  %-18s  %s\n", head, v->says);
	}
	(void)fprintf(to, "\n");
	usage_flags(to, FLAGS_GLOBAL);
	(void)fprintf(to, "\nTASK is ID, NAMESPACE/ID or DAEMON/NAMESPACE/ID, as uruncctl ps -v "
			  "prints it.\nThe manual is uruncctl(8).\n");
}
