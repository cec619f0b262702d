#include "base/guards.h"

bool tide_guards_on(void)
{
#ifdef TIDE_UNGUARDED
    return false;
#else
    return true;
#endif
}
