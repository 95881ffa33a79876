/* What is used of libjpeg's interface, so that no libjpeg headers are needed to build nsdata.
 *
 * The functions are not linked: decoder.py looks them up in the libjpeg(-turbo) that Pillow has loaded, so both
 * decode with the same code. The structs below are the unchanging beginnings of libjpeg's own (ABI 62, 70 and 80 are
 * alike up to output_scanline); the library is asked for its true size, and one of another version is not used.
 */
#ifndef NSDATA_LIBJPEG_H
#define NSDATA_LIBJPEG_H

#include <stddef.h>

typedef struct jpeg_decompress jpeg_decompress;

typedef struct {
    void (*error_exit)(jpeg_decompress *);
    void (*emit_message)(jpeg_decompress *, int level);
    void (*output_message)(jpeg_decompress *);
    void (*format_message)(jpeg_decompress *, char *);
    void (*reset_error_mgr)(jpeg_decompress *);
    int msg_code;
    union {
        int i[8];
        char s[80];
    } msg_parm;
    int trace_level;
    long num_warnings;
    const char *const *message_table;
    int last_message;
    const char *const *addon_table;
    int first_addon, last_addon;
} jpeg_errors;

struct jpeg_decompress {
    jpeg_errors *err;
    void *mem, *progress, *client_data;
    int is_decompressor, global_state;
    void *src;
    unsigned int image_width, image_height;
    int num_components;
    int jpeg_color_space, out_color_space;
    unsigned int scale_num, scale_denom;
    double output_gamma;
    int buffered_image, raw_data_out, dct_method;
    int do_fancy_upsampling, do_block_smoothing, quantize_colors;
    int dither_mode, two_pass_quantize, desired_number_of_colors;
    int enable_1pass_quant, enable_external_quant, enable_2pass_quant;
    unsigned int output_width, output_height;
    int out_color_components, output_components, rec_outbuf_height;
    int actual_number_of_colors;
    unsigned char **colormap;
    unsigned int output_scanline;
};

enum { JPEG_STRUCT_ROOM = 4096 }; /* more than any version's whole struct */
enum { JPEG_GREY = 1, JPEG_RGB = 2, JPEG_YCC = 3, JPEG_RGBX = 7 };

typedef struct {
    jpeg_errors *(*std_error)(jpeg_errors *);
    void (*create)(jpeg_decompress *, int version, size_t size);
    void (*destroy)(jpeg_decompress *);
    void (*abort)(jpeg_decompress *);
    void (*mem_src)(jpeg_decompress *, const unsigned char *, unsigned long);
    int (*read_header)(jpeg_decompress *, int require_image);
    int (*start)(jpeg_decompress *);
    unsigned int (*read_lines)(jpeg_decompress *, unsigned char **, unsigned int);
    int (*has_many_scans)(jpeg_decompress *);
    unsigned int (*skip_lines)(jpeg_decompress *, unsigned int);
    void (*crop_lines)(jpeg_decompress *, unsigned int *left, unsigned int *width);
    int (*finish)(jpeg_decompress *);
    int version;
    size_t size;
} jpeg_library;

#endif
