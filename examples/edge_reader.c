/* Score rows with an exported model in C: one row a line on stdin, the features in the header's order.

   blockmix export baskets --format c-header --out model.h
   cc -O2 -std=c99 -I. -o score examples/edge_reader.c -lm && ./score < rows.txt                       */
#include <stdio.h>
#include "model.h"

int main(void) {
  double row[BLOCKMIX_FEATURES];
  for (;;) {
    for (int i = 0; i < BLOCKMIX_FEATURES; i++)
      if (scanf("%lf", &row[i]) != 1) return 0;
    printf("%.17g %.17g %d\n", blockmix_score(row), blockmix_log_prob(row), blockmix_component(row));
  }
}
