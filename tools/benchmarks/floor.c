/* The floor of the benchmark: one recurrent layer, a dense head of four classes and softmax, with every size known to
 * the compiler. Built by floor.py, which also packs the weights:
 *
 *   gates   [HIDDEN / WIDTH][INPUTS + HIDDEN][GATES][WIDTH]   the x part of each panel, then its h part
 *   biases  [HIDDEN / WIDTH][BIASES][WIDTH]                   GRU has a fourth: the bias inside the reset gate
 *   head    [4][HIDDEN], head_bias [4]
 *
 * Gates are in the order of ONNX: GRU z r h, LSTM i o f c.
 */
#include <stdint.h>
#include <string.h>
#include <time.h>

#define RNN 1
#define GRU 2
#define LSTM 3

#if CELL == RNN
enum { GATES = 1, BIASES = 1 };
#elif CELL == GRU
enum { GATES = 3, BIASES = 4 };
#else
enum { GATES = 4, BIASES = 4 };
#endif

enum { WIDTH = LANES * UNITS }; /* hidden units of a panel */

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec4 __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec4 __attribute__((vector_size(16)));

static vec state_h[2][HIDDEN / LANES], state_c[HIDDEN / LANES];
static int newest; /* which of the two h is valid */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* a where the comparison holds, else b; C has no ?: for vectors */
#define SELECT(integers, comparison, a, b) (((comparison) & (integers)(a)) | (~(comparison) & (integers)(b)))

ALWAYS_INLINE vec broadcast(float a) { return a - (vec){0}; }

/* x P(x^2) / Q(x^2), fitted to tanh on [-7.9, 7.9]: 6e-9 in exact arithmetic, 3e-7 in float32. */
ALWAYS_INLINE vec tangent(vec x)
{
    x = (vec)SELECT(ivec, x > 7.9f, broadcast(7.9f), x);
    x = (vec)SELECT(ivec, x < -7.9f, broadcast(-7.9f), x);
    vec y = x * x;
    vec p = (((1.54279977e-8f * y + 2.20232628e-5f) * y + 0.00357899309f) * y + 0.134506215f) * y + 1.0f;
    vec q = (((8.59879018e-7f * y + 0.00034236523f) * y + 0.026192242f) * y + 0.467839495f) * y + 1.0f;
    return x * p / q;
}

ALWAYS_INLINE vec sigmoid(vec x) { return tangent(x * 0.5f) * 0.5f + 0.5f; }

/* sum += weights times input, UNROLL inputs at a time so that enough independent sums are under way. */
ALWAYS_INLINE const vec *accumulate(const vec *weights, const float *input, int length, vec sum[GATES * UNITS])
{
    enum { SUMS = GATES * UNITS };
    vec extra[UNROLL][SUMS] = {0};
    int k = 0;
    for (; k + UNROLL <= length; k += UNROLL)
        for (int u = 0; u < UNROLL; u++)
            for (int s = 0; s < SUMS; s++)
                extra[u][s] += *weights++ * input[k + u];
    for (; k < length; k++)
        for (int s = 0; s < SUMS; s++)
            sum[s] += *weights++ * input[k];
    for (int u = 0; u < UNROLL; u++)
        for (int s = 0; s < SUMS; s++)
            sum[s] += extra[u][s];
    return weights;
}

ALWAYS_INLINE void recurrent(const float *x, const vec *weights, const vec *bias, const vec *h, vec *h_new, vec *c)
{
    for (int unit = 0; unit < HIDDEN / LANES; unit += UNITS, bias += BIASES * UNITS) {
        vec gate[GATES * UNITS];
        memcpy(gate, bias, sizeof gate);
        weights = accumulate(weights, x, INPUTS, gate);
#if CELL == GRU
        vec candidate_x[UNITS];
        memcpy(candidate_x, gate + 2 * UNITS, sizeof candidate_x);
        memcpy(gate + 2 * UNITS, bias + 3 * UNITS, sizeof candidate_x);
#endif
        weights = accumulate(weights, (const float *)h, HIDDEN, gate);
        for (int u = 0; u < UNITS; u++) {
#if CELL == RNN
            h_new[unit + u] = tangent(gate[u]);
#elif CELL == GRU
            vec z = sigmoid(gate[u]), n = tangent(candidate_x[u] + sigmoid(gate[UNITS + u]) * gate[2 * UNITS + u]);
            h_new[unit + u] = n + z * (h[unit + u] - n);
#else
            vec cell = sigmoid(gate[2 * UNITS + u]) * c[unit + u] + sigmoid(gate[u]) * tangent(gate[3 * UNITS + u]);
            c[unit + u] = cell;
            h_new[unit + u] = sigmoid(gate[UNITS + u]) * tangent(cell);
#endif
        }
    }
    (void)c;
}

ALWAYS_INLINE vec4 halves(vec v) /* LANES sums to four */
{
    vec4 part[LANES / 4], sum = {0};
    memcpy(part, &v, sizeof v);
    for (int i = 0; i < LANES / 4; i++)
        sum += part[i];
    return sum;
}

ALWAYS_INLINE vec4 dense(const vec *head, const float *bias, const vec *h)
{
    vec row[4] = {0};
    for (int k = 0; k < HIDDEN / LANES; k++)
        for (int r = 0; r < 4; r++)
            row[r] += head[r * (HIDDEN / LANES) + k] * h[k];
    vec4 a = halves(row[0]), b = halves(row[1]), c = halves(row[2]), d = halves(row[3]), result;
    vec4 ab = __builtin_shuffle(a, b, (ivec4){0, 4, 1, 5}) + __builtin_shuffle(a, b, (ivec4){2, 6, 3, 7});
    vec4 cd = __builtin_shuffle(c, d, (ivec4){0, 4, 1, 5}) + __builtin_shuffle(c, d, (ivec4){2, 6, 3, 7});
    memcpy(&result, bias, sizeof result);
    return result + __builtin_shuffle(ab, cd, (ivec4){0, 1, 4, 5}) + __builtin_shuffle(ab, cd, (ivec4){2, 3, 6, 7});
}

ALWAYS_INLINE vec4 softmax(vec4 y)
{
    vec4 other = __builtin_shuffle(y, (ivec4){1, 0, 3, 2});
    vec4 most = (vec4)SELECT(ivec4, y > other, y, other);
    other = __builtin_shuffle(most, (ivec4){2, 3, 0, 1});
    most = (vec4)SELECT(ivec4, most > other, most, other);
    vec4 t = (y - most) * 1.44269504f; /* exp(a) = 2^t, t at most 0 */
    const vec4 least = {-126.0f, -126.0f, -126.0f, -126.0f};
    t = (vec4)SELECT(ivec4, t > least, t, least);
    ivec4 whole = __builtin_convertvector(t - 0.5f, ivec4); /* truncated: the nearest integer, as t is negative */
    vec4 r = (t - __builtin_convertvector(whole, vec4)) * 0.693147181f;
    /* e^r by its series: |r| is at most 0.347, the next term 1.2e-7 */
    vec4 e = 1.0f + r * (1.0f + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r / 720)))));
    e = (vec4)((ivec4)e + (whole << 23));
    other = e + __builtin_shuffle(e, (ivec4){1, 0, 3, 2});
    return e / (other + __builtin_shuffle(other, (ivec4){2, 3, 0, 1}));
}

ALWAYS_INLINE void step(const float *x, const vec *gates, const vec *biases, const vec *head, const float *head_bias,
                        float *scores)
{
    vec *h = state_h[newest ^ 1];
    recurrent(x, gates, biases, state_h[newest], h, state_c);
    newest ^= 1;
    vec4 y = softmax(dense(head, head_bias, h));
    memcpy(scores, &y, sizeof y);
}

void reset(void)
{
    memset(state_h, 0, sizeof state_h);
    memset(state_c, 0, sizeof state_c);
}

/* x (steps, INPUTS) to scores (steps, 4) */
void run(const float *x, int steps, const vec *gates, const vec *biases, const vec *head, const float *head_bias,
         float *scores)
{
    for (int t = 0; t < steps; t++)
        step(x + t * INPUTS, gates, biases, head, head_bias, scores + 4 * t);
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* The same, with the time of each step in nanoseconds. */
void run_timed(const float *x, int steps, const vec *gates, const vec *biases, const vec *head, const float *head_bias,
               float *scores, int64_t *times_ns)
{
    for (int t = 0; t < steps; t++) {
        int64_t start = now_ns();
        step(x + t * INPUTS, gates, biases, head, head_bias, scores + 4 * t);
        times_ns[t] = now_ns() - start;
    }
}
