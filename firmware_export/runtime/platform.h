/* Constants stay in flash on AVR, where they need their own instructions to be read; elsewhere a read is a read. */
#if defined(__AVR__)
#include <avr/pgmspace.h>
#define EDGERNN_TABLE PROGMEM
static inline int8_t edgernn_read_int8(const int8_t *from) { return (int8_t)pgm_read_byte(from); }
static inline int16_t edgernn_read_int16(const int16_t *from) { return (int16_t)pgm_read_word(from); }
static inline int32_t edgernn_read_int32(const int32_t *from) { return (int32_t)pgm_read_dword(from); }
static inline float edgernn_read_float(const float *from) { return pgm_read_float(from); }
#else
#define EDGERNN_TABLE
static inline int8_t edgernn_read_int8(const int8_t *from) { return *from; }
static inline int16_t edgernn_read_int16(const int16_t *from) { return *from; }
static inline int32_t edgernn_read_int32(const int32_t *from) { return *from; }
static inline float edgernn_read_float(const float *from) { return *from; }
#endif

/* Functions that must become part of their caller to be fast. */
#if defined(__GNUC__)
#define EDGERNN_INLINE __attribute__((always_inline)) static inline
#else
#define EDGERNN_INLINE static inline
#endif
