/* A library for machines that we have no relay.build output for: a function to find and call, data that needs a relocation. */
static int factor = 3;
int* foreign_factor = &factor;

int foreign_answer(int x) { return *foreign_factor * x + 5; }

/* TVM's calling convention; args[0] is an int64. */
int foreign_packed(void* args, int* type_codes, int num_args, void* ret, int* ret_type_code, void* resource) {
  (void)resource;
  if (num_args != 1 || type_codes[0] != 0) return -1;
  *(long long*)ret = *(long long*)args * factor;
  *ret_type_code = 0;
  return 0;
}
