/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of uruncctl: verbs and flags in any order, help that wins, and
 * refusals that say what to type instead. */
#include "cmd/uruncctl/args.c" /* cmd is in no library */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

const struct verb verbs[] = {
	{ "recover", "[TASK...]", "", FLAG_DRY_RUN, 0, -1, NEED_NODE, 8, 16, NULL },
	{ "show", "TASK", "", 0, 1, 1, NEED_NODE, 2, 2, NULL },
	{ "journal check", "", "", 0, 0, 0, NEED_JOURNAL, 2, 2, NULL },
	{ NULL, NULL, NULL, 0, 0, 0, NEED_NOTHING, 0, 0, NULL },
};

static struct args args;
static struct err err;

#define PARSE(...) parse((const char *const[]){ "uruncctl", __VA_ARGS__, NULL })
static int parse(const char *const *words)
{
	static char copies[8][64];
	static char *argv[9];
	int argc = 0;

	err = (struct err)ERR_INIT;
	for (; words[argc]; argc++) {
		(void)snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc]);
		argv[argc] = copies[argc];
	}
	return args_parse(&args, argc, argv, &err);
}

static void flags_stand_before_and_after_the_verb(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--json", "recover", "c1", "-nv", "c2"), 0);
	assert_string_equal(args.verb->name, "recover");
	assert_int_equal(args.flags, FLAG_JSON | FLAG_DRY_RUN | FLAG_VERBOSE);
	assert_int_equal(args.argc, 2);
	assert_string_equal(args.argv[0], "c1");
	assert_string_equal(args.argv[1], "c2");
}

static void a_verb_may_be_two_words(void **state)
{
	(void)state;
	assert_int_equal(PARSE("journal", "-q", "check"), 0);
	assert_string_equal(args.verb->name, "journal check");
	assert_int_equal(args.argc, 0);
}

static void after_two_dashes_nothing_is_a_flag(void **state)
{
	(void)state;
	assert_int_equal(PARSE("show", "--", "--json"), 0);
	assert_int_equal(args.flags, 0);
	assert_string_equal(args.argv[0], "--json");
	assert_int_equal(PARSE("show", "--", "--help"), 0);
	assert_int_equal(args.flags, 0);
}

static void help_wins_over_every_mistake(void **state)
{
	(void)state;
	assert_int_equal(PARSE("recover", "--what", "-h"), 0);
	assert_true(args.flags & FLAG_HELP);
	assert_string_equal(args.verb->name, "recover");
	assert_int_equal(PARSE("nonsense", "--help"), 0);
	assert_null(args.verb);
}

static void a_misspelling_is_answered_with_the_word(void **state)
{
	(void)state;
	assert_int_equal(PARSE("recovr"), -EINVAL);
	assert_non_null(strstr(err.text, "did you mean 'uruncctl recover'?"));
	assert_int_equal(PARSE("journl"), -EINVAL);
	assert_non_null(strstr(err.text, "did you mean 'uruncctl journal check'?"));
	assert_int_equal(PARSE("recover", "--dryrun"), -EINVAL);
	assert_non_null(strstr(err.text, "did you mean --dry-run?"));
}

static void what_is_far_from_every_word_is_not_guessed(void **state)
{
	(void)state;
	assert_int_equal(PARSE("xyz"), -EINVAL);
	assert_null(strstr(err.text, "did you mean"));
	assert_int_equal(PARSE("a-word-that-is-longer-than-any-verb-could-ever-be"), -EINVAL);
	assert_null(strstr(err.text, "did you mean"));
	assert_int_equal(PARSE("show", "c1", "-x"), -EINVAL);
	assert_non_null(strstr(err.text, "see uruncctl help show"));
}

static void a_flag_of_another_verb_is_refused(void **state)
{
	(void)state;
	assert_int_equal(PARSE("show", "c1", "--dry-run"), -EINVAL);
	assert_non_null(strstr(err.text, "show has no option --dry-run"));
	assert_string_equal(args.verb->name, "show");
}

static void operands_are_counted(void **state)
{
	(void)state;
	assert_int_equal(PARSE("show"), -EINVAL);
	assert_non_null(strstr(err.text, "show needs TASK"));
	assert_int_equal(PARSE("show", "c1", "c2"), -EINVAL);
	assert_non_null(strstr(err.text, "'c2'"));
	assert_int_equal(PARSE("recover", "1", "2", "3", "4"), 0);
}

static void no_verb_is_no_mistake_of_the_line(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--json"), 0);
	assert_null(args.verb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_stand_before_and_after_the_verb),
		cmocka_unit_test(a_verb_may_be_two_words),
		cmocka_unit_test(after_two_dashes_nothing_is_a_flag),
		cmocka_unit_test(help_wins_over_every_mistake),
		cmocka_unit_test(a_misspelling_is_answered_with_the_word),
		cmocka_unit_test(what_is_far_from_every_word_is_not_guessed),
		cmocka_unit_test(a_flag_of_another_verb_is_refused),
		cmocka_unit_test(operands_are_counted),
		cmocka_unit_test(no_verb_is_no_mistake_of_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
