/* model_text.h: the architecture's JSON as text that is changed by whole values, for files.c. */
#ifndef MODEL_TEXT_H
#define MODEL_TEXT_H

#include "arguments.h"

enum { MOST_TEXT = 1 << 18, MOST_VALUES_OF_TEXT = 4096 };

/* A value in a text: from its first byte to behind its last; a member's begins at its key. */
typedef struct span {
  int begin, value, end;
  char kind; /* '{', '[', '"', '0' for a number, 't' for true, false, null */
} span;

static span spans[MOST_VALUES_OF_TEXT];
static int span_count;

static int skip_string(const char *text, int at) {
  for (at++; text[at] != '\0' && text[at] != '"'; at++) {
    if (text[at] == '\\' && text[at + 1] != '\0') at++;
  }
  return text[at] == '"' ? at + 1 : at;
}

static int skip_value(const char *text, int at, int begin, int depth) {
  const int number = span_count < MOST_VALUES_OF_TEXT ? span_count++ : -1;
  const char first = text[at];
  const int value = at;
  if (first == '"') {
    at = skip_string(text, at);
  } else if ((first == '{' || first == '[') && depth < 200) {
    at++;
    while (text[at] != '\0' && text[at] != '}' && text[at] != ']') {
      int member = at;
      if (text[at] == ',' || text[at] == ' ' || text[at] == ':') {
        at++;
        continue;
      }
      if (first == '{' && text[at] == '"') {
        at = skip_string(text, at);
        while (text[at] == ':' || text[at] == ' ') at++;
        if (text[at] == '\0' || text[at] == ',' || text[at] == '}') continue;
      }
      at = skip_value(text, at, member, depth + 1);
    }
    if (text[at] != '\0') at++;
  } else {
    while (text[at] != '\0' && strchr(",]}: ", text[at]) == NULL) at++;
    if (at == value) at++;
  }
  if (number >= 0) {
    spans[number].begin = begin;
    spans[number].value = value;
    spans[number].end = at;
    spans[number].kind = first == '{' || first == '[' || first == '"'     ? first
                         : first == '-' || (first >= '0' && first <= '9') ? '0'
                                                                          : 't';
  }
  return at;
}

/* Finds every value of the text. */
static void find_spans(const char *text) {
  span_count = 0;
  if (text[0] != '\0') (void)skip_value(text, 0, 0, 0);
}

/* text[begin, end) becomes `length` bytes of `with`; nothing if that is too long. */
static void replace_text(char *text, int begin, int end, const char *with, int length) {
  const int rest = (int)strlen(text + end);
  if (begin + length + rest >= MOST_TEXT) return;
  memmove(text + begin + length, text + end, (size_t)rest + 1);
  memcpy(text + begin, with, (size_t)length);
}

/* One change by whole values: a number becomes an odd one, a string another string, a value goes, comes twice, or changes places
 * with another. Of what it makes most is JSON. */
static void change_text(char *text) {
  static const char *const numbers[] = {"0",
                                        "-1",
                                        "1",
                                        "2",
                                        "3",
                                        "16",
                                        "17",
                                        "1e5",
                                        "0.5",
                                        "-0.0",
                                        "1e308",
                                        "1e-320",
                                        "255",
                                        "65536",
                                        "2147483647",
                                        "2147483648",
                                        "4294967296",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775808",
                                        "1e19",
                                        "4611686018427387904"};
  static const char *const words[] = {"\"\"",
                                      "\"dense\"",
                                      "\"batch_norm\"",
                                      "\"conv2d\"",
                                      "\"add\"",
                                      "\"concatenate\"",
                                      "\"flatten\"",
                                      "\"reshape\"",
                                      "\"softmax\"",
                                      "\"input_normalization\"",
                                      "\"relu\"",
                                      "\"0.weight\"",
                                      "\"same\"",
                                      "\"valid\"",
                                      "\"\\u0000\"",
                                      "\"a\\u0301\\u0301\"",
                                      "\"/\"",
                                      "true",
                                      "false",
                                      "null",
                                      "[]",
                                      "{}",
                                      "[0]",
                                      "[[]]",
                                      "{\"a\":1}"};
  static char piece[MOST_TEXT];
  find_spans(text);
  if (span_count < 2) return;
  const span a = spans[1 + below(span_count - 1)], b = spans[1 + below(span_count - 1)];
  const int a_length = a.end - a.begin, b_length = b.end - b.begin;
  switch (below(6)) {
    case 0: {
      span number = a;
      for (int i = 0; i < 20 && number.kind != '0'; i++) number = spans[1 + below(span_count - 1)];
      const char *word = numbers[below(CHECK_COUNT(numbers))];
      replace_text(text, number.value, number.end, word, (int)strlen(word));
      return;
    }
    case 1: {
      const char *word = one_in(2) ? words[below(CHECK_COUNT(words))] : numbers[below(CHECK_COUNT(numbers))];
      replace_text(text, a.value, a.end, word, (int)strlen(word));
      return;
    }
    case 2: { /* a value, and one of the commas beside it, go */
      int begin = a.begin, end = a.end;
      if (text[end] == ',') {
        end++;
      } else if (begin > 0 && text[begin - 1] == ',') {
        begin--;
      }
      replace_text(text, begin, end, "", 0);
      return;
    }
    case 3: /* twice */
      if (a_length + 1 >= MOST_TEXT) return;
      memcpy(piece, text + a.begin, (size_t)a_length);
      piece[a_length] = ',';
      replace_text(text, a.begin, a.begin, piece, a_length + 1);
      return;
    case 4: /* one in the place of the other */
      memcpy(piece, text + b.value, (size_t)(b.end - b.value));
      replace_text(text, a.value, a.end, piece, b.end - b.value);
      return;
    default: /* they change places */
      if (a.end > b.begin || b_length <= 0) return;
      memcpy(piece, text + b.begin, (size_t)b_length);
      memcpy(piece + b_length, text + a.end, (size_t)(b.begin - a.end));
      memcpy(piece + b_length + (b.begin - a.end), text + a.begin, (size_t)a_length);
      replace_text(text, a.begin, b.end, piece, a_length + b_length + (b.begin - a.end));
  }
}

#endif /* MODEL_TEXT_H */
