#!/bin/sed -Ef
# Comments of the public headers in Doxygen's form, for its eyes alone.
1,/^#ifndef/ { s@^// @/// @; s@^//$@///@; 1s@^/// @/// \\file\n/// @ }
s@^( *)//( |$)@\1///\2@
s@^( *[^/ ].*[;,{}\)]|.*[0-9A-Za-z]) +// @\1 ///< @
