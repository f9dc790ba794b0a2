/* A library whose constructor leaves a mark, so that a test sees whether any of its code ran: appends MARK to the file that
   PANNIER_TEST_MARK names. */
#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void LeaveMark(void) {
  const char* const path = getenv("PANNIER_TEST_MARK");
  FILE* const file = path != NULL ? fopen(path, "a") : NULL;
  if (file == NULL) return;
  fputc(MARK, file);
  fclose(file);
}

__attribute__((visibility("default"))) int Mark(void) { return MARK; }
