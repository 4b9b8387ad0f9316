/* A C program with Python inside, both using one loaded library: models and their memory go both ways without a copy.
 *
 * The program links libmartlet; MARTLET_LIBRARY names the same file for the Python package (found through PYTHONPATH). Built by
 * scripts/test-embedded-python, for it needs libpython and NumPy.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "models.h"

static PyObject *globals; /* where the Python lines below live together */

/* Python's exceptions are failed checks with a traceback. */
static void python(const char *lines) {
  PyObject *result = PyRun_String(lines, Py_file_input, globals, globals);
  CHECK(result != NULL);
  if (result == NULL) PyErr_Print();
  Py_XDECREF(result);
}

static void give_number(const char *name, double value) {
  PyObject *object = PyFloat_FromDouble(value);
  CHECK(object != NULL && PyDict_SetItemString(globals, name, object) == 0);
  Py_XDECREF(object);
}

/* An address crosses as an integer. */
static void give_address(const char *name, const void *address) {
  PyObject *object = PyLong_FromVoidPtr((void *)(uintptr_t)address);
  CHECK(object != NULL && PyDict_SetItemString(globals, name, object) == 0);
  Py_XDECREF(object);
}

static void *take_address(const char *name) {
  PyObject *object = PyDict_GetItemString(globals, name); /* borrowed */
  CHECK(object != NULL);
  return object == NULL ? NULL : PyLong_AsVoidPtr(object);
}

static void start_python(void) {
  PyObject *module = PyImport_AddModule("__main__"); /* borrowed */
  globals = PyModule_GetDict(module);                /* borrowed */
  python(
      "import ctypes\n"
      "import numpy as np\n"
      "import martlet\n"
      "from martlet import _abi\n"
      "from martlet._library import library, path\n"
      "def view(address, shape):\n"
      "    count = int(np.prod(shape))\n"
      "    return np.frombuffer((ctypes.c_float * count).from_address(address), np.float32).reshape(shape)\n");
}

/* One library, not two copies of it: the same constant text, and process-wide state that both see. */
static void test_one_library(void) {
  python(
      "plain = ctypes.CDLL(path())\n"
      "plain.martlet_version.restype = ctypes.c_void_p\n"
      "text = plain.martlet_version()\n");
  CHECK(take_address("text") == (const void *)martlet_version());
  const int32_t before = martlet_num_threads();
  CHECK_OK(martlet_set_num_threads(3));
  python("assert martlet.num_threads() == 3; martlet.set_num_threads(2)");
  CHECK_INT(2, martlet_num_threads());
  CHECK_OK(martlet_set_num_threads(before));
}

/* C's model: Python reads and writes the parameter where it lies. */
static void test_c_model_in_python(void) {
  martlet_model *model = make_model(5);
  const martlet_tensor_info weight = tensor_named(model, "dense1.weight");
  float *values = (float *)weight.value.data;
  give_address("address", values);
  give_address("model_address", model);
  give_number("first", values[0]);
  python(
      "weight = view(address, (5, 4))\n"
      "assert weight[0, 0] == first\n"
      "weight[...] = np.arange(20, dtype=np.float32).reshape(5, 4) / 16\n");
  for (int i = 0; i < NET_HIDDEN * NET_INPUTS; i++) CHECK_CLOSE(i / 16.0, values[i], 0);
  values[3] = -7; /* and back */
  python("assert weight[0, 3] == -7");

  /* The same through the package's own typed functions, on C's handle: the view Python gets is C's memory. */
  python(
      "handle = ctypes.cast(model_address, ctypes.POINTER(_abi.martlet_model))\n"
      "info = _abi.sized(_abi.martlet_tensor_info)\n"
      "library().martlet_model_tensor_named(handle, b'dense1.weight', ctypes.byref(info))\n"
      "assert info.value.data == address\n"
      "trainer_gradient = info.gradient\n");
  CHECK(take_address("trainer_gradient") == weight.gradient);

  /* Python runs C's model on C's arrays; C finds the result in its own memory. */
  net_batch batch, expected;
  make_batch(&batch, 2);
  make_batch(&expected, 2);
  CHECK_OK(martlet_model_predict(model, &expected.x_array, 1, 0, &expected.out_array, 1));
  give_address("x_array", &batch.x_array);
  give_address("out_array", &batch.out_array);
  python(
      "array = ctypes.POINTER(_abi.martlet_array)\n"
      "library().martlet_model_predict(handle, ctypes.cast(x_array, array), 1, 0, ctypes.cast(out_array, array), 1)\n");
  CHECK(memcmp(expected.out, batch.out, sizeof batch.out) == 0);
  python("del weight, info, handle");
  martlet_model_destroy(model);
}

/* Python's model: C trains and runs it while Python watches through its views. */
static void test_python_model_in_c(void) {
  python(
      "net = martlet.Sequential([martlet.Dense(5), martlet.BatchNorm(), martlet.Sigmoid(), martlet.Dense(3)],\n"
      "                         input_shape=(4,), seed=3)\n"
      "weight = net.parameters()['0.weight']\n"
      "before = weight.copy()\n"
      "model_address = ctypes.cast(net._open()._as_parameter_, ctypes.c_void_p).value\n"
      "data_address = weight.ctypes.data\n");
  martlet_model *model = (martlet_model *)take_address("model_address");
  if (model == NULL) return;
  const martlet_tensor_info weight = tensor_named(model, "0.weight");
  CHECK(weight.value.data == take_address("data_address"));

  net_batch batch;
  make_batch(&batch, 2);
  martlet_trainer *trainer = NULL;
  martlet_result result = {0, 0, 0};
  CHECK_OK(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  CHECK_OK(martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, &result));
  martlet_trainer_destroy(trainer);
  python("assert not np.array_equal(weight, before)");

  /* Python computes straight into C's memory; C's own run of the model gives the same bits. */
  float from_python[NET_ROWS * NET_CLASSES];
  give_address("x_address", batch.x);
  give_address("out_address", from_python);
  python("view(out_address, (6, 3))[...] = net.predict(view(x_address, (6, 4)))");
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK(memcmp(from_python, batch.out, sizeof batch.out) == 0);

  /* A failure in C is not Python's business and the other way round: Python's is an exception with the library's words. */
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_set_trainable(model, "nobody", 1));
  python(
      "try:\n"
      "    net.predict(np.zeros((2, 9)))\n"
      "except martlet.ShapeError as error:\n"
      "    assert '9' in str(error)\n"
      "else:\n"
      "    raise AssertionError('a wrong shape passed')\n"
      "del net, weight\n");
}

static const check_test tests[] = {TEST(test_one_library), TEST(test_c_model_in_python), TEST(test_python_model_in_c)};

int main(int argc, char **argv) {
  Py_Initialize();
  start_python();
  if (check_state.failures != 0) return 1;
  const int result = check_main(argc, argv, tests, CHECK_COUNT(tests));
  return Py_FinalizeEx() < 0 ? 1 : result;
}
