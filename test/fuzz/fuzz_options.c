/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages from outside: those of `start`'s standard input, every request of the task
 * service, both kinds of options. The first byte says which, the second how much
 * memory decoding may take. What decodes, and has no fields beyond ours, encodes to
 * something that decodes to the same (protobuf-c takes an unknown field 0 in, but not
 * what it makes of it); what does not fit into the memory leaks nothing.
 */
#include "proto/api/bootstrap.pb-c.h"
#include "proto/api/queries.pb-c.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/runtime_options.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "proto/api/task_events.pb-c.h"
#include "proto/api/ttrpc.pb-c.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
	&google__protobuf__any__descriptor,
	&containerd__runtime__bootstrap__v1__bootstrap_params__descriptor,
	&containerd__runc__v1__options__descriptor,
	&containerd__runc__v1__checkpoint_options__descriptor,
	&runtimeoptions__v1__options__descriptor,
	&ttrpc__request__descriptor,
	&ttrpc__response__descriptor,
	&containerd__task__v2__create_task_request__descriptor,
	&containerd__task__v2__exec_process_request__descriptor,
	&containerd__task__v2__update_task_request__descriptor,
	&containerd__task__v2__pids_response__descriptor,
	&containerd__task__v2__delete_response__descriptor,
	&containerd__services__get_task_response__descriptor,
	&containerd__services__get_container_response__descriptor,
	&containerd__events__task_create__descriptor,
};

static void *take(void *arg, size_t size)
{
	size_t *left = arg;

	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size);
}

static void give(void *arg, void *p)
{
	(void)arg;
	free(p);
}

static int has_unknown(const ProtobufCMessage *m)
{
	int found = m->n_unknown_fields > 0;

	for (unsigned int i = 0; i < m->descriptor->n_fields && !found; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const uint8_t *at = (const uint8_t *)m + f->offset;
		const ProtobufCMessage *const *list = (const ProtobufCMessage *const *)at;
		size_t n;

		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		n = *list != NULL;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			n = *(const size_t *)((const uint8_t *)m + f->quantifier_offset);
			list = *(const ProtobufCMessage *const *const *)at;
		}
		for (size_t k = 0; k < n && !found; k++)
			found = has_unknown(list[k]);
	}
	return found;
}

static void round_trip(const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *first = malloc(n + 1), *second = malloc(n + 1);
	ProtobufCMessage *again;

	if (!first || !second || protobuf_c_message_pack(m, first) != n)
		abort();
	again = protobuf_c_message_unpack(m->descriptor, NULL, n, first);
	if (!again || protobuf_c_message_get_packed_size(again) != n)
		abort();
	(void)protobuf_c_message_pack(again, second);
	if (memcmp(first, second, n) != 0)
		abort();
	protobuf_c_message_free_unpacked(again, NULL);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *type;
	size_t left;
	ProtobufCAllocator alloc = { .alloc = take, .free = give, .allocator_data = &left };
	ProtobufCMessage *m;

	if (size < 2)
		return 0;
	type = types[data[0] % (sizeof(types) / sizeof(*types))];
	left = data[1] == 0 ? 1 << 20 : (size_t)data[1] * 16;
	m = protobuf_c_message_unpack(type, &alloc, size - 2, data + 2);
	if (m && !has_unknown(m))
		round_trip(m);
	protobuf_c_message_free_unpacked(m, &alloc);
	return 0;
}
