/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/qmp.h"

#include "supervisor/bundle/json.h"
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"

#include <inttypes.h>

#define FOREIGN "it says what is not of its protocol"

void qmp_ask_power_off(char text[QMP_ASK_MAX], int64_t id)
{
	(void)snprintf(text, QMP_ASK_MAX,
		       "{\"execute\":\"qmp_capabilities\",\"id\":-1}\n"
		       "{\"execute\":\"system_powerdown\",\"id\":%" PRId64 "}\n", id);
}

static bool has(json_object *o, const char *name)
{
	return json_object_object_get_ex(o, name, NULL);
}

int qmp_read(const char *line, int64_t id, struct err *err)
{
	auto_json json_object *said = json_read(line);
	json_object *error = NULL;

	if (!said && errno == ENOMEM)
		return err_set(err, ENOMEM, "read what QEMU says");
	if (!json_object_is_type(said, json_type_object))
		return err_say(err, EPROTO, FOREIGN);
	if (has(said, "QMP") || has(said, "event"))
		return QMP_OTHER;
	if (!json_object_object_get_ex(said, "error", &error) && !has(said, "return"))
		return err_say(err, EPROTO, FOREIGN);
	if (json_int(said, "id", -1) != id)
		return QMP_OTHER;
	if (error)
		return err_say(err, EIO, "it refuses: %.200s", json_text(error, "desc", "no reason given"));
	return QMP_DONE;
}
