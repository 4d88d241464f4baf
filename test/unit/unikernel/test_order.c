/* SPDX-License-Identifier: Apache-2.0 */
/* From what Create has found to the order by which a process becomes its monitor. */
#include "supervisor/unikernel/order.h"

#include "supervisor/step/step.h"
#include "supervisor/unikernel/monitors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ' stands for ". */
static json_object *json(const char *text)
{
	char *copy = strdup(text);
	json_object *o;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	o = json_tokener_parse(copy);
	free(copy);
	assert_non_null(o);
	return o;
}

struct bench {
	struct spec spec;
	struct order_in in;
	char *text; /* of the order, its words one a line */
	struct err err;
};

#define SPEC(more) "{'process':{'args':['/app','a b']},'linux':{'resources':{" more "}}}"
#define QEMU(type) "{'type':'" type "','monitor':'qemu','binary':'/k'}"
#define CHOICE(more) "{'monitor':'/usr/bin/qemu'," more "}"

static int make_launched(struct bench *b, const char *spec, const char *unikernel,
			 const char *choice, const char *net, const char *launch)
{
	json_object *s = json(spec);
	const char *text = json_object_to_json_string(s);
	char *order = NULL;
	json_object *o;
	json_object *words = NULL;
	int rc;

	*b = (struct bench){ .err = ERR_INIT };
	assert_int_equal(spec_parse(&b->spec, text, strlen(text), &b->err), 0);
	json_object_put(s);
	b->in = (struct order_in){ .unikernel = json(unikernel), .choice = json(choice),
				   .launch = json(launch), .net = json(net),
				   .spec = &b->spec, .task = "d/ns/c1" };
	rc = order_make(&order, &b->in, &b->err);
	b->text = calloc(1, 65536);
	o = order ? json_tokener_parse(order) : NULL;
	words = json_list(o, "argv");
	for (size_t i = 0; words && i < json_object_array_length(words); i++) {
		strcat(b->text, json_object_get_string(json_object_array_get_idx(words, i)));
		strcat(b->text, "\n");
	}
	words = json_list(o, "env");
	for (size_t i = 0; words && i < json_object_array_length(words); i++) {
		strcat(b->text, json_object_get_string(json_object_array_get_idx(words, i)));
		strcat(b->text, "\n");
	}
	words = json_list(o, "files");
	for (size_t i = 0; words && i < json_object_array_length(words); i++)
		strcat(b->text, json_text(json_object_array_get_idx(words, i), "text", ""));
	json_object_put(o);
	free(order);
	return rc;
}

static int make(struct bench *b, const char *spec, const char *unikernel, const char *choice,
		const char *net)
{
	return make_launched(b, spec, unikernel, choice, net, "{'accel':'tcg'}");
}

static void drop(struct bench *b)
{
	json_object_put(b->in.unikernel);
	json_object_put(b->in.choice);
	json_object_put(b->in.launch);
	json_object_put(b->in.net);
	spec_clear(&b->spec);
	free(b->text);
}

static void has(const struct bench *b, const char *what)
{
	if (!strstr(b->text, what))
		fail_msg("\"%s\" is not in: %s %s", what, b->text, b->err.text);
}

static void the_guest_gets_what_the_spec_says(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, SPEC("'memory':{'limit':67108864},"
				       "'cpu':{'quota':150000,'period':100000}"),
			      QEMU("hermit"), CHOICE("'choice':'initrd','path':'/my words'"), "{}"), 0);
	has(&b, "/usr/bin/qemu\n-m\n64M\n");
	has(&b, "-accel\ntcg\n");
	has(&b, "-smp\n2\n");
	has(&b, "-kernel\n/cntrRootfs/k\n");
	has(&b, "-initrd\n/cntrRootfs/my words\n");
	has(&b, "-nic\nnone\n");
	has(&b, "-append\n-- /app 'a b'\n");
	drop(&b);
}

static void without_limits_there_are_defaults(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, "{}", QEMU("mewz"), CHOICE("'choice':'none'"), "{}"), 0);
	has(&b, "-m\n256M\n");
	has(&b, "-smp\n1\n");
	assert_null(strstr(b.text, "-initrd"));
	drop(&b);
}

static void what_the_network_step_has_made_is_told(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, "{}", QEMU("mewz"), CHOICE("'choice':'none'"),
			      "{'tap':'tap0_urunc','mac':'02:00:00:00:00:01','mtu':1450,"
			      "'ip':'10.4.0.2/24','gateway':'10.4.0.1'}"), 0);
	has(&b, "tap,id=net0,ifname=tap0_urunc,");
	has(&b, ",host_mtu=1450,mac=02:00:00:00:00:01\n");
	has(&b, "-append\nip=10.4.0.2/24 gateway=10.4.0.1\n");
	has(&b, "URUNC_TASK=d/ns/c1\nURUNC_NETWORK={\"tap\":\"tap0_urunc\",");
	drop(&b);
	assert_int_equal(make(&b, "{}", QEMU("mirage"), CHOICE("'choice':'none'"),
			      "{'tap':'t','mac':'m','ip6':'fd00::2/64','gateway6':'fd00::1'}"), 0);
	has(&b, "-append\n--ipv6-only=true --ipv6=fd00::2/64 --ipv6-gateway=fd00::1\n");
	drop(&b);
	assert_int_equal(make(&b, "{}", QEMU("mewz"), CHOICE("'choice':'none'"),
			      "{'tap':'t','mac':'m','ip':'10.4.0.2'}"), -EINVAL);
	drop(&b);
}

static void disks_are_in_the_order_of_their_use(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, "{}",
			      "{'type':'linux','monitor':'firecracker','binary':'k','block':'/d'}",
			      "{'monitor':'/fc','choice':'initrd','path':'/i','extra_block':true}",
			      "{}"), -ENOTSUP); /* there is no KVM */
	drop(&b);
	assert_int_equal(make(&b, "{}", "{'type':'linux','monitor':'qemu','binary':'k','block':'/d'}",
			      CHOICE("'choice':'block','path':'/r','extra_block':true"), "{}"), 0);
	has(&b, "id=rootfs,file=/cntrRootfs/r\n");
	has(&b, "id=annot_vol,file=/cntrRootfs/d\n");
	drop(&b);
}

static void a_share_is_reached_by_virtiofsds_socket(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, "{}", QEMU("linux"), CHOICE("'choice':'virtiofs','path':'/r'"), "{}"),
			 0);
	has(&b, "-chardev\nsocket,id=char0,path=/share/fs.sock\n");
	has(&b, "root=fs0 rw rootfstype=virtiofs");
	drop(&b);
}

static void a_guest_that_has_the_device_of_the_rootfs_has_its_kernel_in_memory(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, "{}", QEMU("linux"), CHOICE("'choice':'rootfs-block'"), "{}"), 0);
	has(&b, "-kernel\n/boot/kernel\n");
	has(&b, "id=rootfs,file=/dev/rootfs\n");
	has(&b, "root=/dev/vda rw");
	drop(&b);
}

static void urunit_gets_its_file_as_the_initrd(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, "{'process':{'args':['/urunit','/app'],'env':['A=1 2'],'cwd':'/w',"
				  "'user':{'uid':7,'gid':8}}}",
			      "{'type':'linux','monitor':'qemu','binary':'k','block':'/d',"
			      "'block_mount':'/data'}",
			      CHOICE("'choice':'virtiofs','extra_block':true"), "{}"), 0);
	has(&b, "-initrd\n/tmp/urunit.conf\n");
	has(&b, "retain_initrd URUNIT_CONFIG=/sys/firmware/initrd");
	has(&b, "UES\nA=1 2\nUEE\nUCS\nUID:7\nGID:8\nWD:/w\nUCE\nUBS\nID:annot_vol\nMP:/data\nUBE\n");
	drop(&b);
}

#define VACCEL "'type':'linux','binary':'/k','vaccel':'vsock','rpc_address':"

static void a_guest_is_told_its_number_and_where_vaccel_is(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make_launched(&b, "{'process':{'args':['/i'],'env':['A=1',"
				       "'VACCEL_RPC_ADDRESS=x','B=2']}}",
				       "{'monitor':'qemu'," VACCEL "'vsock://2:77'}",
				       CHOICE("'choice':'none'"), "{}",
				       "{'accel':'tcg','cid':4294967294}"), 0);
	has(&b, "-device\nvhost-vsock-pci,id=vhost-vsock-pci0,guest-cid=4294967294,vhostfd=65\n");
	has(&b, " A=1 B=2 VACCEL_RPC_ADDRESS=vsock://2:77 init=/i\n");
	drop(&b);
	assert_int_equal(make_launched(&b, "{}", "{'monitor':'firecracker'," VACCEL
				       "'unix:///run/a/vaccel.sock_77'}", CHOICE("'choice':'none'"), "{}",
				       "{'accel':'kvm','cid':3}"), 0);
	has(&b, "\"vsock\":{\"guest_cid\":3,\"uds_path\":\"/tmp/vaccel.sock\"");
	has(&b, "VACCEL_RPC_ADDRESS=vsock://2:77");
	drop(&b);
	/* Who was created without a number has none. */
	assert_int_equal(make(&b, "{}", "{'monitor':'qemu'," VACCEL "'vsock://2:77'}",
			      CHOICE("'choice':'none'"), "{}"), 0);
	assert_null(strstr(b.text, "vsock"));
	drop(&b);
}

static void what_nobody_prepares_is_refused(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(make(&b, "{'process':{'args':['/urunit']}}", QEMU("linux"),
			      CHOICE("'choice':'initrd','path':'/i'"), "{}"), -ENOTSUP);
	drop(&b);
}

static void too_many_words_are_refused_by_the_limit(void **state)
{
	char spec[60000];
	size_t used = (size_t)snprintf(spec, sizeof(spec), "{'process':{'args':['/app'],'env':['A=");
	struct bench b;

	(void)state;
	memset(spec + used, 'x', 50000);
	(void)strcpy(spec + used + 50000, "']}}");
	assert_int_equal(make(&b, spec, QEMU("unikraft"), CHOICE("'choice':'none'"), "{}"), 0);
	assert_int_equal(order_check(&b.in, &b.err), 0);
	drop(&b);
	memset(spec + used, 'x', 58000);
	(void)strcpy(spec + used + 58000, "']}}");
	assert_int_equal(make(&b, spec, QEMU("unikraft"), CHOICE("'choice':'none'"), "{}"), 0);
	assert_int_equal(order_check(&b.in, &b.err), -E2BIG);
	assert_non_null(strstr(b.err.text, "and the limit is 57344: make the spec's process.args and "
				       "process.env shorter"));
	drop(&b);
}

static void exits(const char *monitor, const char *guest, unsigned int status, bool killed,
		  const char *expected)
{
	char text[128];

	monitor_exit_text(monitor, guest, status, killed, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void an_exit_is_the_guests_the_monitors_or_a_kill(void **state)
{
	(void)state;
	exits("qemu", "mewz", 33, false, "qemu exit code 33 is its guest's own, 16");
	exits("qemu", "mewz", 137, false, "qemu exit code 137 is its guest's own, 68");
	exits("qemu", "mewz", 137, true, "qemu was killed by signal 9");
	exits("qemu", "mewz", 1, false, "qemu exit code 1 is its own, or its guest's");
	exits("qemu", "linux", 33, false, "qemu exit code 33 is its own, or its guest's");
	exits("qemu", "linux", 0, false,
	      "qemu exit code 0: its guest was switched off, or it was asked to end");
	exits("spt", "mirage", 7, false, "spt exit code 7 is its own, or its guest's");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guest_gets_what_the_spec_says),
		cmocka_unit_test(without_limits_there_are_defaults),
		cmocka_unit_test(what_the_network_step_has_made_is_told),
		cmocka_unit_test(disks_are_in_the_order_of_their_use),
		cmocka_unit_test(a_share_is_reached_by_virtiofsds_socket),
		cmocka_unit_test(a_guest_that_has_the_device_of_the_rootfs_has_its_kernel_in_memory),
		cmocka_unit_test(urunit_gets_its_file_as_the_initrd),
		cmocka_unit_test(a_guest_is_told_its_number_and_where_vaccel_is),
		cmocka_unit_test(what_nobody_prepares_is_refused),
		cmocka_unit_test(too_many_words_are_refused_by_the_limit),
		cmocka_unit_test(an_exit_is_the_guests_the_monitors_or_a_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
