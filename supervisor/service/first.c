/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/first.h"

#include "supervisor/bundle/json.h"
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h" /* after json.h */

#include <stdio.h>
#include <string.h>

static int write_texts(struct journal *j, const struct first *first, struct err *err)
{
	const struct {
		enum task_text field;
		const char *text;
	} texts[] = {
		{ TASK_ADDRESS, first->address },
		{ TASK_TTRPC_ADDRESS, first->ttrpc_address },
		{ TASK_EPOCH, first->epoch },
		{ TASK_GROUP, first->group },
		{ TASK_SOCKET, first->socket },
	};
	int rc = journal_set_bundle(j, first->bundle, first->dir->dev, first->dir->ino, err);

	for (size_t i = 0; i < ARRAY_SIZE(texts) && rc == 0; i++)
		rc = journal_set_text(j, texts[i].field, texts[i].text, err);
	return rc;
}

int first_write(struct journal *j, const struct first *first, struct err *err)
{
	int rc = journal_begin(j, err);

	if (rc < 0)
		return rc;
	rc = write_texts(j, first, err);
	if (rc == 0)
		return journal_commit(j, err);
	journal_rollback(j);
	return rc;
}

char *first_args(const struct first *first)
{
	auto_json json_object *args = json_object_new_object();
	auto_free char *address = NULL;
	const char *text;

	if (!args || asprintf(&address, "unix://%s", first->socket) < 0)
		return NULL;
	json_put_text(args, "socket", first->socket);
	json_put_text(args, "address", address);
	if (first->join)
		json_put(args, "join", json_object_new_boolean(true));
	text = json_write(args);
	return text ? strdup(text) : NULL;
}
