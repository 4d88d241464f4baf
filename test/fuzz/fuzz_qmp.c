/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a monitor's: each is understood, or refused with a sentence. */
#include "supervisor/unikernel/qmp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct err err = ERR_INIT;
	int rc;

	if (!text)
		abort();
	rc = qmp_read(text, 7, &err);
	if (rc < 0 ? !err.text[0] : (rc != QMP_OTHER && rc != QMP_DONE) || err.text[0])
		abort();
	free(text);
	return 0;
}
