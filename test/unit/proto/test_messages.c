/* SPDX-License-Identifier: Apache-2.0 */
/* Our .proto files say, byte for byte, what containerd says. The vectors were made
 * with other software. */
#include "journal/base/cleanup.h"
#include "proto/api/bootstrap.pb-c.h"
#include "proto/api/cgroups_v1.pb-c.h"
#include "proto/api/cgroups_v2.pb-c.h"
#include "proto/api/events.pb-c.h"
#include "proto/api/queries.pb-c.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/runtime_options.pb-c.h"
#include "proto/api/sandbox.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "proto/api/task_events.pb-c.h"
#include "test/lib/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t *pack(const ProtobufCMessage *msg, size_t *len)
{
	uint8_t *data = malloc(protobuf_c_message_get_packed_size(msg) + 1);

	assert_non_null(data);
	*len = protobuf_c_message_pack(msg, data);
	return data;
}

static void the_bootstrap_parameters(void **state)
{
	Containerd__Runtime__Bootstrap__V1__BootstrapParams p =
		CONTAINERD__RUNTIME__BOOTSTRAP__V1__BOOTSTRAP_PARAMS__INIT;
	Containerd__Runtime__Bootstrap__V1__Extension ext =
		CONTAINERD__RUNTIME__BOOTSTRAP__V1__EXTENSION__INIT;
	Containerd__Runtime__Bootstrap__V1__Extension *exts[] = { &ext };
	Containerd__Runc__V1__Options opts = CONTAINERD__RUNC__V1__OPTIONS__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	auto_free uint8_t *packed = NULL;

	(void)state;
	opts.binary_name = (char *)"urunc";
	packed = pack(&opts.base, &any.value.len);
	any.value.data = packed;
	any.type_url = (char *)opts.base.descriptor->name;
	wire_assert_packs(&any.base, "0a1a636f6e7461696e6572642e72756e632e76312e4f7074696f6e73"
				     "120732057572756e63");
	ext.value = &any;
	p.instance_id = (char *)"c1";
	p.namespace_ = (char *)"default";
	p.log_level = CONTAINERD__RUNTIME__BOOTSTRAP__V1__LOG_LEVEL__DEBUG;
	p.containerd_version = (char *)"2.3.4";
	p.containerd_ttrpc_address = (char *)"/run/containerd/containerd.sock.ttrpc";
	p.containerd_grpc_address = (char *)"/run/containerd/containerd.sock";
	p.containerd_binary = (char *)"/usr/bin/containerd";
	p.extensions = exts;
	p.n_extensions = 1;
	p.socket_dir = (char *)"/run/containerd/s";
	wire_assert_packs(
		&p.base,
		"0a026331120764656661756c7418fcffffffffffffffff012205322e332e342a252f72756e2f"
		"636f6e7461696e6572642f636f6e7461696e6572642e736f636b2e7474727063321f2f72756e"
		"2f636f6e7461696e6572642f636f6e7461696e6572642e736f636b3a132f7573722f62696e2f"
		"636f6e7461696e65726442270a250a1a636f6e7461696e6572642e72756e632e76312e4f7074"
		"696f6e73120732057572756e634a112f72756e2f636f6e7461696e6572642f73");
}

static void the_bootstrap_result(void **state)
{
	Containerd__Runtime__Bootstrap__V1__BootstrapResult r =
		CONTAINERD__RUNTIME__BOOTSTRAP__V1__BOOTSTRAP_RESULT__INIT;

	(void)state;
	r.version = 3;
	r.address = (char *)"unix:///run/containerd/s/ab";
	r.protocol = (char *)"ttrpc";
	wire_assert_packs(&r.base, "0803121b756e69783a2f2f2f72756e2f636f6e7461696e6572642f732f6162"
				   "1a057474727063");
}

static void the_answer_that_delete_prints(void **state)
{
	Containerd__Task__V2__DeleteResponse r = CONTAINERD__TASK__V2__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	(void)state;
	r.pid = 4300;
	r.exit_status = 137;
	at.seconds = 1700000000;
	at.nanos = 5;
	r.exited_at = &at;
	wire_assert_packs(&r.base, "08cc211089011a080880e2cfaa061005");
}

static void the_zero_time_of_a_running_process(void **state)
{
	Containerd__Task__V2__StateResponse r = CONTAINERD__TASK__V2__STATE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	(void)state;
	at.seconds = -62135596800;
	r.exited_at = &at;
	wire_assert_packs(&r.base, "520b088092b8c398feffffff01");
}

static void an_exit_event_and_its_envelope(void **state)
{
	Containerd__Events__TaskExit e = CONTAINERD__EVENTS__TASK_EXIT__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Timestamp sent = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Containerd__Types__Envelope env = CONTAINERD__TYPES__ENVELOPE__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	auto_free uint8_t *packed = NULL;

	(void)state;
	e.container_id = (char *)"c1";
	e.id = (char *)"c1";
	e.pid = 4300;
	e.exit_status = 137;
	at.seconds = 1700000000;
	e.exited_at = &at;
	wire_assert_packs(&e.base, "0a0263311202633118cc212089012a060880e2cfaa06");
	packed = pack(&e.base, &any.value.len);
	any.value.data = packed;
	any.type_url = (char *)e.base.descriptor->name;
	sent.seconds = 1700000001;
	env.timestamp = &sent;
	env.namespace_ = (char *)"default";
	env.topic = (char *)"/tasks/exit";
	env.event = &any;
	wire_assert_packs(&env.base,
			  "0a060881e2cfaa06120764656661756c741a0b2f7461736b732f6578697422340a1a63"
			  "6f6e7461696e6572642e6576656e74732e5461736b4578697412160a02633112026331"
			  "18cc212089012a060880e2cfaa06");
}

/* The names that go out as type_url, or that services are called by. */
static void the_names_on_the_wire(void **state)
{
	(void)state;
	assert_string_equal(containerd__runc__v1__options__descriptor.name,
			    "containerd.runc.v1.Options");
	assert_string_equal(containerd__runc__v1__process_details__descriptor.name,
			    "containerd.runc.v1.ProcessDetails");
	assert_string_equal(runtimeoptions__v1__options__descriptor.name,
			    "runtimeoptions.v1.Options");
	assert_string_equal(io__containerd__cgroups__v1__metrics__descriptor.name,
			    "io.containerd.cgroups.v1.Metrics");
	assert_string_equal(io__containerd__cgroups__v2__metrics__descriptor.name,
			    "io.containerd.cgroups.v2.Metrics");
	assert_string_equal(containerd__events__task_oom__descriptor.name,
			    "containerd.events.TaskOOM");
	assert_string_equal(containerd__task__v2__task__descriptor.name,
			    "containerd.task.v2.Task");
	assert_string_equal(containerd__services__events__ttrpc__v1__events__descriptor.name,
			    "containerd.services.events.ttrpc.v1.Events");
	assert_string_equal(containerd__runtime__sandbox__v1__sandbox__descriptor.name,
			    "containerd.runtime.sandbox.v1.Sandbox");
}

static void assert_number(const ProtobufCMessageDescriptor *d, const char *field, unsigned int id)
{
	const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(d, field);

	assert_non_null(f);
	assert_int_equal(f->id, id);
}

static void the_numbers_of_the_metrics(void **state)
{
	const ProtobufCMessageDescriptor *m2 = &io__containerd__cgroups__v2__memory_stat__descriptor;
	const ProtobufCMessageDescriptor *m1 = &io__containerd__cgroups__v1__memory_stat__descriptor;

	(void)state;
	assert_number(m2, "inactive_file", 13);
	assert_number(m2, "thp_collapse_alloc", 31);
	assert_number(m2, "usage", 32);
	assert_number(m2, "psi", 38);
	assert_number(m1, "total_cache", 18);
	assert_number(m1, "total_unevictable", 32);
	assert_number(m1, "kernel_tcp", 36);
	assert_number(&io__containerd__cgroups__v2__metrics__descriptor, "memory", 4);
	assert_number(&containerd__services__container__descriptor, "sandbox", 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bootstrap_parameters),
		cmocka_unit_test(the_bootstrap_result),
		cmocka_unit_test(the_answer_that_delete_prints),
		cmocka_unit_test(the_zero_time_of_a_running_process),
		cmocka_unit_test(an_exit_event_and_its_envelope),
		cmocka_unit_test(the_names_on_the_wire),
		cmocka_unit_test(the_numbers_of_the_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
