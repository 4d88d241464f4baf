/* SPDX-License-Identifier: Apache-2.0 */
/* The bind mounts of a spec, as a share's process is told of them. */
#include "supervisor/unikernel/binds.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#define FLAT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct bench {
	struct spec spec;
	json_object *binds;
	struct err err;
};

/* ' stands for ". */
static int read_binds(struct bench *b, const char *mounts)
{
	char text[1024];

	*b = (struct bench){ .spec = SPEC_INIT, .err = ERR_INIT };
	(void)snprintf(text, sizeof(text), "{'root':{'path':'rootfs'},'mounts':[%s]}", mounts);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	assert_int_equal(spec_parse(&b->spec, text, strlen(text), &b->err), 0);
	return binds_read(&b->binds, &b->spec, &b->err);
}

static void clear(struct bench *b)
{
	json_object_put(b->binds);
	spec_clear(&b->spec);
}

static void becomes(const char *mounts, const char *binds)
{
	struct bench b;

	assert_int_equal(read_binds(&b, mounts), 0);
	assert_string_equal(json_object_to_json_string_ext(b.binds, FLAT), binds);
	clear(&b);
}

static void refuses(const char *mounts, int code, const char *why)
{
	struct bench b;

	assert_int_equal(read_binds(&b, mounts), -code);
	assert_string_equal(b.err.text, why);
	assert_null(b.binds);
	clear(&b);
}

static void a_bind_mount_is_known_by_its_options_or_its_type(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(read_binds(&b, "{'type':'proc','destination':'/proc','source':'proc'},"
				    "{'type':'none','destination':'/a','source':'/x','options':['rbind']},"
				    "{'type':'bind','destination':'/b','source':'/y'}"), 0);
	assert_int_equal(binds_count(&b.spec), 2);
	assert_int_equal(json_object_array_length(b.binds), 2);
	clear(&b);
	becomes("", "[]");
	becomes("{'destination':'/tmp','type':'tmpfs','options':['nosuid']}", "[]");
}

static void it_has_the_options_of_a_mount(void **state)
{
	char want[256];

	(void)state;
	becomes("{'type':'bind','destination':'//a/b','source':'/x','options':"
		"['rbind','rprivate','rw','relatime','defaults']}",
		"[{\"source\":\"/x\",\"to\":\"a/b\",\"recursive\":true,\"flags\":0}]");
	(void)snprintf(want, sizeof(want), "[{\"source\":\"/x\",\"to\":\"a\",\"recursive\":false,"
		       "\"flags\":%d}]", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME);
	becomes("{'type':'none','destination':'/a','source':'/x','options':"
		"['bind','ro','nosuid','nodev','noexec','noatime']}", want);
}

static void what_a_share_can_not_do_is_refused_by_name(void **state)
{
#define ON_A(options) "{'type':'bind','destination':'/a','source':'/x','options':[" options "]}"
	(void)state;
	refuses(ON_A("'rbind','rshared'"), ENOTSUP, "the bind mount on /a would have to take on later "
		"mounts, which a guest's share can't; use rprivate");
	refuses(ON_A("'rbind','slave'"), ENOTSUP, "the bind mount on /a would have to take on later "
		"mounts, which a guest's share can't; use rprivate");
	refuses(ON_A("'bind','rro'"), ENOTSUP, "the bind mount on /a has the option \"rro\", which "
		"means nothing for a guest's share; take it out");
	refuses(ON_A("'bind','sync'"), ENOTSUP, "the bind mount on /a has an option of a file "
		"system's own, which means nothing for a guest's share; take it out");
	refuses(ON_A("'bind','loop'"), ENOTSUP, "the bind mount on /a has an option of a file "
		"system's own, which means nothing for a guest's share; take it out");
	refuses(ON_A("'bind','idmap','uidmap=0:1:1'"), ENOTSUP,
		"mount option \"uidmap=0:1:1\" is not supported");
}

static void both_ends_are_absolute(void **state)
{
	(void)state;
	refuses("{'type':'bind','destination':'a','source':'/x'}", EINVAL, "a bind mount of \"/x\" on "
		"\"a\": both have to be absolute paths, and the second one below /");
	refuses("{'type':'bind','destination':'/a','source':'x'}", EINVAL, "a bind mount of \"x\" on "
		"\"/a\": both have to be absolute paths, and the second one below /");
	refuses("{'type':'bind','destination':'//','source':'/x'}", EINVAL, "a bind mount of \"/x\" on "
		"\"//\": both have to be absolute paths, and the second one below /");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bind_mount_is_known_by_its_options_or_its_type),
		cmocka_unit_test(it_has_the_options_of_a_mount),
		cmocka_unit_test(what_a_share_can_not_do_is_refused_by_name),
		cmocka_unit_test(both_ends_are_absolute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
