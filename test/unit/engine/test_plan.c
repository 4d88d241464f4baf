/* SPDX-License-Identifier: Apache-2.0 */
/* Plans as data: which steps, wanting what, and what no plan is made of. */
#include "supervisor/engine/plan.h"
#include "supervisor/step/step.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct task_row task = {
	.key = { .daemon = "0123456789ab", .ns = "default", .id = "c1" },
	.bundle = (char *)"/b/c1",
	.runtime = (char *)"/usr/bin/runc",
	.runtime_root = (char *)"/r/default",
};

/* The text, with ' for ", as JSON; NULL for NULL. */
static json_object *json(const char *text)
{
	char *copy = text ? strdup(text) : NULL;
	json_object *o;

	for (char *p = copy; p && *p; p++)
		if (*p == '\'')
			*p = '"';
	o = copy ? json_tokener_parse(copy) : NULL;
	free(copy);
	return o;
}

static struct plan_list *make(enum plan plan, const char *request, const char *args)
{
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *r = json(request);
	json_object *a = json(args);
	struct err err = ERR_INIT;

	assert_non_null(list);
	if (plan_make(list, plan, &task, r, a, &err) < 0)
		fail_msg("%s", err.text);
	json_object_put(r);
	json_object_put(a);
	return list;
}

static void drop(struct plan_list *list)
{
	plan_clear(list);
	free(list);
}

static void is(const struct plan_list *list, size_t at, const char *kind, const char *want)
{
	char *plain = strdup(list->at[at].want);
	char *to = plain;

	for (const char *p = list->at[at].want; *p; p++)
		if (*p != '\\')
			*to++ = *p == '"' ? '\'' : *p;
	*to = '\0';
	assert_string_equal(list->at[at].kind, kind);
	assert_string_equal(plain, want);
	free(plain);
}

static void refuses(enum plan plan, const char *request, const char *args, int code,
		    const char *why)
{
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *r = json(request);
	json_object *a = json(args);
	struct err err = ERR_INIT;

	assert_non_null(list);
	assert_int_equal(plan_make(list, plan, &task, r, a, &err), -code);
	assert_string_equal(err.text, why);
	assert_int_equal(list->n, 0);
	json_object_put(r);
	json_object_put(a);
	free(list);
}

static void serve_is_socket_address_server(void **state)
{
	struct plan_list *list = make(PLAN_SERVE, "{}",
				      "{'socket':'/s/abc','address':'unix:///s/abc'}");

	(void)state;
	assert_int_equal(list->n, 3);
	is(list, 0, "socket", "{'path':'/s/abc'}");
	is(list, 1, "address", "{'path':'/b/c1/address','text':'unix:///s/abc'}");
	is(list, 2, "server", "{}");
	drop(list);
}

static void the_smallest_create_has_five_steps(void **state)
{
	struct plan_list *list = make(PLAN_CREATE, "{}", NULL);

	(void)state;
	assert_int_equal(list->n, 5);
	is(list, 0, "bundle", "{'path':'/b/c1'}");
	is(list, 1, "cgroup", "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1',"
			      "'bundle':'/b/c1','unikernel':false}");
	is(list, 2, "state", "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1',"
			     "'bundle':'/b/c1'}");
	is(list, 3, "init", "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1',"
			    "'bundle':'/b/c1'}");
	is(list, 4, "rootfs-choice", "{'policy':'best-effort'}");
	drop(list);
}

static void mounts_stand_in_order_between_bundle_and_cgroup(void **state)
{
	struct plan_list *list = make(PLAN_CREATE,
		"{'rootfs':[{'type':'overlay','source':'overlay','target':'',"
		"'options':['lowerdir=/l']},{'type':'bind','source':'/x','target':'/data'}]}", NULL);

	(void)state;
	assert_int_equal(list->n, 7);
	is(list, 1, "mount", "{'type':'overlay','source':'overlay','target':'',"
			     "'options':['lowerdir=/l'],'root':'/b/c1/rootfs'}");
	is(list, 2, "mount", "{'type':'bind','source':'/x','target':'/data',"
			     "'root':'/b/c1/rootfs'}");
	assert_string_equal(list->at[3].kind, "cgroup");
	drop(list);
}

static void options_reach_the_steps_that_need_them(void **state)
{
	struct plan_list *list = make(PLAN_CREATE,
		"{'options':{'systemd_cgroup':true,'no_pivot_root':true,'no_new_keyring':true},"
		"'cgroups_path':'s.slice:p:c1','console':'/c','rootfs_choice':'required',"
		"'path':'/bin','unikernel':{'type':'linux'},'rootfs':[{'type':'ext4',"
		"'source':'/dev/loop7','target':''}]}", NULL);

	(void)state;
	is(list, 2, "cgroup", "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1',"
			      "'bundle':'/b/c1','systemd':true,'cgroups_path':'s.slice:p:c1',"
			      "'unikernel':true}");
	is(list, 4, "init", "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1',"
			    "'bundle':'/b/c1','systemd':true,'no_pivot':true,"
			    "'no_new_keyring':true,'console':'/c'}");
	is(list, 5, "rootfs-choice", "{'policy':'required','path':'/bin',"
				     "'unikernel':{'type':'linux'},'rootfs':[{'type':'ext4',"
				     "'source':'/dev/loop7','target':''}]}");
	drop(list);
}

static void start_and_kill_are_one_step(void **state)
{
	struct plan_list *start = make(PLAN_START, "{}", NULL);
	struct plan_list *kill = make(PLAN_KILL, "{}", "{'signal':9,'all':true}");

	(void)state;
	assert_int_equal(start->n, 1);
	is(start, 0, "start", "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1',"
			      "'bundle':'/b/c1'}");
	assert_int_equal(kill->n, 1);
	is(kill, 0, "signal", "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1',"
			      "'bundle':'/b/c1','signal':9,'all':true}");
	drop(start);
	drop(kill);
}

#define CALL "'runtime':'/usr/bin/runc','root':'/r/default','id':'c1','bundle':'/b/c1'"

static void a_checkpoint_makes_create_wait_and_start_restore(void **state)
{
	struct plan_list *create = make(PLAN_CREATE, "{'checkpoint':'/img'}", NULL);
	struct plan_list *start = make(PLAN_START, "{'checkpoint':'/img'}", NULL);
	struct plan_list *other = make(PLAN_START, "{'checkpoint':'/img','parent_checkpoint':'/old',"
				       "'options':{'criu_work_path':'/w'}}", NULL);

	(void)state;
	assert_int_equal(create->n, 3);
	assert_string_equal(create->at[2].kind, "state");
	is(start, 0, "init", "{" CALL ",'checkpoint':'/img','work':'/b/c1/work'}");
	is(other, 0, "init", "{" CALL ",'checkpoint':'/img','parent_checkpoint':'/old',"
			     "'work':'/w'}");
	drop(create);
	drop(start);
	drop(other);
}

static void pause_and_the_like_are_one_step(void **state)
{
	static const enum plan plans[] = { PLAN_PAUSE, PLAN_RESUME, PLAN_UPDATE };
	struct plan_list *list;

	(void)state;
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		list = make(plans[i], "{}", NULL);
		assert_int_equal(list->n, 1);
		is(list, 0, plan_name(plans[i]), "{" CALL "}");
		drop(list);
	}
	list = make(PLAN_EXEC, "{}", "{'exec_id':'e1','console':'/p','process':{}}");
	is(list, 0, "exec", "{" CALL ",'exec_id':'e1','console':'/p'}");
	drop(list);
	list = make(PLAN_CHECKPOINT, "{}", "{'path':'/img','exit':true}");
	is(list, 0, "checkpoint", "{" CALL ",'path':'/img','exit':true,'own_work':true,"
				  "'work':'/b/c1/work/criu-work'}");
	drop(list);
	list = make(PLAN_CHECKPOINT, "{}", "{'path':'/img','work':'/w'}");
	is(list, 0, "checkpoint", "{" CALL ",'path':'/img','work':'/w'}");
	drop(list);
}

static void what_urunc_has_no_command_for_is_refused_by_name(void **state)
{
	static const enum plan plans[] = { PLAN_PAUSE, PLAN_RESUME, PLAN_UPDATE, PLAN_CHECKPOINT,
					   PLAN_EXEC };
	struct plan_list *list = calloc(1, sizeof(*list));
	struct task_row urunc = task;
	json_object *request = json("{'checkpoint':'/img'}");
	struct err err = ERR_INIT;

	(void)state;
	urunc.runtime = (char *)"/usr/bin/urunc";
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		assert_int_equal(plan_make(list, plans[i], &urunc, request, NULL, &err), -ENOTSUP);
	assert_string_equal(err.text, "runtime /usr/bin/urunc has no command exec");
	assert_int_equal(plan_make(list, PLAN_CREATE, &urunc, request, NULL, &err), -ENOTSUP);
	assert_string_equal(err.text, "runtime /usr/bin/urunc has no command restore");
	json_object_put(request);
	drop(list);
}

static const struct task_row native = {
	.key = { .daemon = "0123456789ab", .ns = "default", .id = "u1" },
	.bundle = (char *)"/b/u1",
	.runtime = (char *)"unikernel",
	.runtime_root = (char *)"/r/default",
};

static void a_unikernel_without_a_runtime_is_chosen_for_and_then_launched(void **state)
{
	static const char *const kinds[] = { "bundle", "cgroup", "limits", "rootfs-choice", "launch",
					     "network" };
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *request = json("{'unikernel':{'type':'mewz'},'netns':'/run/netns/n',"
				    "'uid':7,'gid':8}");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(plan_make(list, PLAN_CREATE, &native, request, NULL, &err), 0);
	assert_int_equal(list->n, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(list->at[i].kind, kinds[i]);
		assert_non_null(step_kind(kinds[i]));
	}
	is(list, 2, "limits", "{'id':'u1','bundle':'/b/u1','unikernel':{'type':'mewz'}}");
	is(list, 4, "launch", "{'id':'u1','bundle':'/b/u1','unikernel':{'type':'mewz'}}");
	is(list, 5, "network", "{'init':true,'netns':'/run/netns/n',"
			    "'guest':'mewz','uid':7,'gid':8}");
	plan_clear(list);
	assert_int_equal(plan_make(list, PLAN_START, &native, request, NULL, &err), 0);
	is(list, 0, "monitor", "{'id':'u1','bundle':'/b/u1','unikernel':{'type':'mewz'}}");
	plan_clear(list);
	assert_int_equal(plan_make(list, PLAN_PAUSE, &native, request, NULL, &err), 0);
	json_object_put(request);
	drop(list);
}

static void the_rootfs_is_asked_before_anything_runs(void **state)
{
	struct plan_list *list = make(PLAN_CREATE, "{'decide':{},'rootfs':[{'type':'bind'}]}", NULL);
	json_object *request = json("{'decide':{'no_runtime':'there is none'}}");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(list->n, 7);
	assert_string_equal(list->at[1].kind, "mount");
	is(list, 2, "unikernel", "{}");
	assert_string_equal(list->at[3].kind, "cgroup");
	plan_clear(list);
	assert_int_equal(plan_make(list, PLAN_CREATE, &native, request, NULL, &err), 0);
	assert_int_equal(list->n, 2);
	is(list, 1, "unikernel", "{'no_runtime':'there is none'}");
	plan_clear(list);
	json_object_object_add(request, "unikernel", json("{'type':'mewz'}"));
	assert_int_equal(plan_make(list, PLAN_CREATE, &native, request, NULL, &err), 0);
	assert_int_equal(list->n, 7);
	assert_string_equal(list->at[1].kind, "unikernel");
	assert_string_equal(list->at[3].kind, "limits");
	json_object_put(request);
	drop(list);
}

static void a_sandbox_is_launched_without_a_rootfs(void **state)
{
	static const char *const kinds[] = { "bundle", "cgroup", "limits", "launch" };
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *request = json("{'sandbox':{'pids':'own'},'cgroups_path':'/pods/u1'}");
	struct task_row sandbox = native;
	struct err err = ERR_INIT;

	(void)state;
	sandbox.runtime = (char *)"sandbox";
	sandbox.runtime_root = (char *)"";
	assert_int_equal(plan_make(list, PLAN_CREATE, &sandbox, request, NULL, &err), 0);
	assert_int_equal(list->n, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(list->at[i].kind, kinds[i]);
	is(list, 0, "bundle", "{'path':'/b/u1','sandbox':true}");
	is(list, 3, "launch", "{'id':'u1','bundle':'/b/u1','sandbox':{'pids':'own'}}");
	plan_clear(list);
	assert_int_equal(plan_make(list, PLAN_START, &sandbox, request, NULL, &err), 0);
	assert_int_equal(list->n, 1);
	is(list, 0, "monitor", "{'id':'u1','bundle':'/b/u1','sandbox':{'pids':'own'}}");
	plan_clear(list);
	assert_int_equal(plan_make(list, PLAN_PAUSE, &sandbox, request, NULL, &err), -ENOTSUP);
	assert_string_equal(err.text, "a sandbox has no pause: its containers have");
	json_object_put(request);
	drop(list);
}

static void hooks_stand_around_the_launch(void **state)
{
	static const char *const kinds[] = { "bundle", "cgroup", "limits", "rootfs-choice", "poststop",
					     "launch", "hook", "network" };
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *request = json("{'unikernel':{'type':'mewz'},'oci':'1.0.2','hooks':{"
				    "'createRuntime':[{'path':'/h'}],'poststart':[{'path':'/s'}],"
				    "'poststop':[{'path':'/p'}],'prestart':[]}}");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(plan_make(list, PLAN_CREATE, &native, request, NULL, &err), 0);
	assert_int_equal(list->n, 8);
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(list->at[i].kind, kinds[i]);
	is(list, 4, "poststop", "{'id':'u1','bundle':'/b/u1','when':'poststop','status':'stopped',"
				"'oci':'1.0.2','list':[{'path':'/p'}]}");
	plan_clear(list);
	assert_int_equal(plan_make(list, PLAN_START, &native, request, NULL, &err), 0);
	assert_int_equal(list->n, 2);
	is(list, 1, "hook", "{'id':'u1','bundle':'/b/u1','when':'poststart','status':'running',"
			    "'oci':'1.0.2','list':[{'path':'/s'}]}");
	json_object_put(request);
	drop(list);
}

static void hooks_inside_stand_before_its_root_and_before_its_monitor(void **state)
{
	static const char *const kinds[] = { "bundle", "cgroup", "limits", "rootfs-choice", "virtiofsd",
					     "launch", "hook", "hook", "root", "release", "network" };
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *request = json("{'unikernel':{'type':'mewz','mount_rootfs':true},'oci':'1.0.2',"
				    "'hooks':{'createContainer':[{'path':'/c'}],"
				    "'startContainer':[{'path':'/s'}],'prestart':[{'path':'/p'}]}}");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(plan_make(list, PLAN_CREATE, &native, request, NULL, &err), 0);
	assert_int_equal(list->n, 11);
	for (size_t i = 0; i < 11; i++)
		assert_string_equal(list->at[i].kind, kinds[i]);
	is(list, 5, "launch", "{'id':'u1','bundle':'/b/u1','unikernel':{'type':'mewz',"
			      "'mount_rootfs':true},'holds':true}");
	is(list, 7, "hook", "{'id':'u1','bundle':'/b/u1','when':'createContainer','status':'creating',"
			    "'inside':true,'oci':'1.0.2','list':[{'path':'/c'}]}");
	plan_clear(list);
	assert_int_equal(plan_make(list, PLAN_START, &native, request, NULL, &err), 0);
	assert_int_equal(list->n, 2);
	is(list, 0, "hook", "{'id':'u1','bundle':'/b/u1','when':'startContainer','status':'created',"
			    "'inside':true,'oci':'1.0.2','list':[{'path':'/s'}]}");
	assert_string_equal(list->at[1].kind, "monitor");
	json_object_put(request);
	drop(list);
}

static void what_a_unikernel_has_not_is_refused_by_name(void **state)
{
	static const enum plan plans[] = { PLAN_UPDATE, PLAN_CHECKPOINT, PLAN_EXEC };
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *request = json("{'checkpoint':'/img'}");
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		assert_int_equal(plan_make(list, plans[i], &native, request, NULL, &err), -ENOTSUP);
	assert_string_equal(err.text, "a unikernel has no exec: it is one program, without processes "
				      "that could be reached from outside");
	assert_int_equal(plan_make(list, PLAN_CREATE, &native, request, NULL, &err), -ENOTSUP);
	json_object_put(request);
	drop(list);
}

static void every_kind_that_is_planned_exists(void **state)
{
	struct plan_list *list = make(PLAN_CREATE, "{'rootfs':[{'type':'tmpfs'}]}", NULL);

	(void)state;
	for (size_t i = 0; i < list->n; i++)
		assert_non_null(step_kind(list->at[i].kind));
	drop(list);
}

static void what_no_plan_is_made_of_is_named(void **state)
{
	(void)state;
	refuses(PLAN_SERVE, "{}", "{'socket':'abc'}", EINVAL,
		"socket \"abc\" is no absolute path");
	refuses(PLAN_KILL, "{}", "{'signal':65}", EINVAL, "there is no signal 65");
	refuses(PLAN_KILL, "{}", NULL, EINVAL, "there is no signal -1");
	refuses(PLAN_UNDO, "{}", NULL, EINVAL, "plan undo applies no steps");
	refuses(PLAN_NONE, "{}", NULL, EINVAL, "plan ? applies no steps");
	refuses(PLAN_CHECKPOINT, "{}", "{'path':'img'}", EINVAL,
		"image path \"img\" is no absolute path");
	refuses(PLAN_CREATE, "{'rootfs':[{'type':''}]}", NULL, EINVAL,
		"rootfs mount 1 has no type");
	refuses(PLAN_CREATE, "{'rootfs':[{'type':'tmpfs'},{'type':'format/ext4'}]}", NULL, ENOTSUP,
		"rootfs mount 2: type \"format/ext4\" is containerd's mount manager's to resolve");
	refuses(PLAN_CREATE, "{'rootfs':[{'type':'tmpfs','options':['X-containerd.mkdir=1']}]}",
		NULL, ENOTSUP, "rootfs mount 1: option \"X-containerd.mkdir=1\" is containerd's "
			       "mount manager's to resolve");
	refuses(PLAN_CREATE, "{'rootfs':[{'type':'bind','target':'/a/../../b'}]}", NULL, EINVAL,
		"rootfs mount 1: target \"/a/../../b\" leaves the rootfs");
}

static void a_dotted_name_is_no_way_up(void **state)
{
	struct plan_list *list = make(PLAN_CREATE,
		"{'rootfs':[{'type':'bind','target':'/a..b/..c','options':[null]},"
		"{'type':'bind','target':'..d/e..'},{'type':'bind','target':'/f../g'}]}", NULL);

	(void)state;
	assert_int_equal(list->n, 8);
	drop(list);
	refuses(PLAN_CREATE, "{'rootfs':[{'type':'bind','target':'..'}]}", NULL, EINVAL,
		"rootfs mount 1: target \"..\" leaves the rootfs");
	refuses(PLAN_CREATE, "{'rootfs':[{'type':'bind','target':'../h'}]}", NULL, EINVAL,
		"rootfs mount 1: target \"../h\" leaves the rootfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serve_is_socket_address_server),
		cmocka_unit_test(the_smallest_create_has_five_steps),
		cmocka_unit_test(mounts_stand_in_order_between_bundle_and_cgroup),
		cmocka_unit_test(options_reach_the_steps_that_need_them),
		cmocka_unit_test(start_and_kill_are_one_step),
		cmocka_unit_test(a_checkpoint_makes_create_wait_and_start_restore),
		cmocka_unit_test(pause_and_the_like_are_one_step),
		cmocka_unit_test(what_urunc_has_no_command_for_is_refused_by_name),
		cmocka_unit_test(a_unikernel_without_a_runtime_is_chosen_for_and_then_launched),
		cmocka_unit_test(the_rootfs_is_asked_before_anything_runs),
		cmocka_unit_test(a_sandbox_is_launched_without_a_rootfs),
		cmocka_unit_test(hooks_stand_around_the_launch),
		cmocka_unit_test(hooks_inside_stand_before_its_root_and_before_its_monitor),
		cmocka_unit_test(what_a_unikernel_has_not_is_refused_by_name),
		cmocka_unit_test(every_kind_that_is_planned_exists),
		cmocka_unit_test(what_no_plan_is_made_of_is_named),
		cmocka_unit_test(a_dotted_name_is_no_way_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
