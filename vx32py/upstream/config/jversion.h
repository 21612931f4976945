/* Texts that libjpeg-turbo's messages show. */
#define JVERSION "6b"
#define JCOPYRIGHT ""
#define JCOPYRIGHT_SHORT ""
