/* Calls the functions of the integer kernel as astroprep.deploy.kernel does, for networks and
   inputs that come as arrays from the standard input; logits go to the standard output. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_FIELDS 13

void kernel_tile(uint8_t *, const int64_t *, const int64_t *, const int32_t *, const int32_t *,
                 int64_t, int64_t, int64_t, int64_t);
void kernel_circles(const float *, const float *, uint8_t *, int64_t, int64_t, int64_t, int64_t,
                    int64_t, int64_t, int64_t);
void kernel_vectors(const float *, const float *, uint8_t *, int64_t, int64_t, int64_t);
void kernel_pool(uint8_t *, const int64_t *, int64_t, int64_t, int64_t, int64_t, int64_t);
void kernel_dense(uint8_t *, const int64_t *, const int32_t *, const int32_t *, int64_t, int64_t);
void kernel_head(int32_t *, int64_t, uint8_t *, const int64_t *, const int32_t *, const int32_t *,
                 int64_t, int64_t);

static void *array(int64_t *n_bytes)
{
    void *data;
    if (fread(n_bytes, sizeof *n_bytes, 1, stdin) != 1)
        exit(0);
    data = malloc((size_t)*n_bytes + 1);
    if (!data || fread(data, 1, (size_t)*n_bytes, stdin) != (size_t)*n_bytes)
        exit(1);
    return data;
}

int main(void)
{
    for (;;) {
        int64_t size, i, k;
        float *folded = array(&size), *auxiliary = array(&size), *factors = array(&size);
        int64_t *program = array(&size);
        const int64_t last = size / (int64_t)sizeof *program / N_FIELDS - 1;
        int64_t *steps = array(&size);
        int32_t *weights = array(&size), *outputs = array(&size);
        int64_t *layout = array(&size), *n = array(&size);
        const int64_t n_channels = layout[0], n_bins = layout[1], n_auxiliary = layout[2];
        const int64_t n_classes = layout[3], n_tiles = layout[4], n_bytes = layout[5];
        const int64_t crowd = layout[12], copied = n_bins < 16 ? n_bins : 16;
        uint8_t *arena = malloc((size_t)(crowd * n_bytes));
        int32_t *logits = malloc((size_t)(*n * n_classes) * sizeof *logits);
        if (!arena || !logits)
            return 1;
        memset(arena, 0xA5, (size_t)(crowd * n_bytes));
        for (i = 0; i < *n; i += crowd) {
            const int64_t m = *n - i < crowd ? *n - i : crowd;
            kernel_circles(folded + i * n_channels * n_bins, factors, arena + layout[6], layout[7],
                           layout[8], n_channels, n_bins, copied, m, n_bytes);
            kernel_vectors(auxiliary + i * n_auxiliary, factors + (n_channels + 3) / 4 * 8,
                           arena + layout[9], n_auxiliary, m, n_bytes);
            for (k = 0; k < n_tiles; k++)
                kernel_tile(arena, program + N_FIELDS * k, steps, weights, outputs, n_bins, copied,
                            m, n_bytes);
            kernel_pool(arena, program + N_FIELDS * k, n_bins, layout[10], layout[11], m, n_bytes);
            while (++k < last)
                kernel_dense(arena, program + N_FIELDS * k, weights, outputs, m, n_bytes);
            kernel_head(logits + i * n_classes, n_classes, arena, program + N_FIELDS * last,
                        weights, outputs, m, n_bytes);
        }
        fwrite(logits, sizeof *logits, (size_t)(*n * n_classes), stdout);
        free(folded), free(auxiliary), free(factors), free(program), free(steps), free(weights);
        free(outputs), free(layout), free(n), free(arena), free(logits);
    }
}
