/* Stands for the C code of a model. */
int model_version(void) { return 1; }
